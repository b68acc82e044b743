"""Cross-encoders as text encoders: read from a folder, made from an encoder, and saved for sentence-transformers."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.encoders.anatomy import list_shapes, list_transformer_shapes
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.precision import EngineName
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.hugging_face import load_tokenizer
from tfchain.models.tokenizers.stored import read_stored_tokenizer
from tfchain.models.weights.download import find_folder
from tfchain.models.weights.reranker_folder import (
    ACTIVATION_PLACES,
    ScoreActivation,
    read_reranker_folder,
    to_classifier_tensors,
    to_pair_encoder,
)
from tfchain.models.weights.stored_encoder import StoredEncoder

HEAD_SPREAD = 0.02  # of a new head's weights, as in transformers


def load_pair_encoder(
    name_or_path: str | Path, *, engine: EngineName = "auto", max_length: int | None = None
) -> tuple[TextEncoder, ScoreActivation]:
    """Reads a cross-encoder's folder.

    Args:
        name_or_path: A folder, or a name on the Hugging Face hub.
        engine: What runs the encoder. Default: `auto`.
        max_length: The maximum number of tokens in a pair. Default: the folder's, or the tokenizer's.

    Returns:
        The cross-encoder, which takes joined pairs (`tokenizers.pairs`), and what makes scores of its outputs.

    Raises:
        ModelFolderError: if the folder cannot be read, or holds another kind of model.
        InputError: if `max_length` is out of range.
    """
    path = find_folder(name_or_path)
    folder = read_reranker_folder(path)
    shared = SharedModel(StoredEncoder(folder.model))
    place = folder.model.transformer_path
    tokenizer = read_stored_tokenizer(place) or load_tokenizer(place)
    found = folder.model.max_length if max_length is None else max_length
    made = TextEncoder(tokenizer, shared, engine=engine, max_length=found)
    made.runner.refresh(shared.get_fingerprint)
    return made, folder.activation


def make_pair_encoder(
    text_encoder: TextEncoder, num_labels: int = 1, *, max_length: int | None = None, seed: int = 0
) -> TextEncoder:
    """Makes a cross-encoder with an encoder's transformer and tokenizer, and a new head; the encoder does not change.

    The head is the architecture's own in transformers, with random weights: train it before use.

    Args:
        text_encoder: One of tfchain's own encoders.
        num_labels: The number of outputs. Default: 1.
        max_length: The maximum number of tokens in a pair. Default: the encoder's number of positions.
        seed: The seed of the head's weights. Default: 0.

    Raises:
        InputError: if it is another Keras model.
        ModelFolderError: if the architecture has no head.
    """
    from tfchain.models.encoders.keras_weights import KerasWeights
    from tfchain.models.weights.pretrained import make_encoder

    before = text_encoder.config
    if before is None:
        raise InputError(
            "A reranker needs one of tfchain's own encoders. Received: another Keras model. Read one from a folder."
        )
    config = to_pair_encoder(dataclasses.replace(before.transformer, pairs="none"), num_labels)
    weights = KerasWeights(text_encoder.own_encoder)
    random = np.random.default_rng(seed)
    transformer = list_transformer_shapes(config.transformer)
    made: dict[str, np.ndarray] = {}
    for path, shape in list_shapes(config).items():
        if path in transformer:
            made[path] = weights[path]
        elif path.endswith("kernel"):
            made[path] = random.normal(0.0, HEAD_SPREAD, shape).astype("float32")
        else:
            made[path] = np.full(shape, path.endswith("gamma"), dtype="float32")
    return TextEncoder(
        text_encoder.tokenizer.source,
        SharedModel(make_encoder(config, made), is_private=True),
        engine=text_encoder.runner.engine,
        max_length=config.transformer.max_length if max_length is None else max_length,
        do_lower_case=text_encoder.tokenizer.do_lower_case,
    )


def save_pair_encoder(text_encoder: TextEncoder, path: Path, *, activation: ScoreActivation) -> None:
    """Writes a cross-encoder as a folder that sentence-transformers' CrossEncoder reads.

    Args:
        text_encoder: A cross-encoder.
        path: An empty folder.
        activation: What makes scores of its outputs.

    Raises:
        InputError: if transformers cannot express its shape.
    """
    from tfchain.models.encoders.keras_weights import KerasWeights
    from tfchain.models.weights.architectures import FAMILIES
    from tfchain.models.weights.folder_contents import WEIGHTS
    from tfchain.models.weights.save_pretrained import is_portable, to_hugging_face, write
    from tfchain.models.weights.tensor_files import write_tensors
    from tfchain.models.weights.weight_maps import to_tensors

    config = text_encoder.config
    assert config is not None  # only tfchain's own encoders are cross-encoders
    if config.transformer.pairs == "prompted":
        raise InputError(
            "A reranker that scores by the probability of a token has only two rows of its output embedding, of which "
            "no language model can be written. Use `save`, which tfchain itself reads."
        )
    plain = dataclasses.replace(config, transformer=dataclasses.replace(config.transformer, pairs="none"))
    if not is_portable(plain):
        raise InputError(
            "Only a transformer with the same heads and widths in all layers, and without a mean over layers, can be "
            "saved for sentence-transformers. "
            f"Received: {config.transformer}. Use `save`, which tfchain itself reads."
        )
    weights = KerasWeights(text_encoder.own_encoder)
    prefix = FAMILIES[config.transformer.architecture].weights.prefix
    tensors = {f"{prefix}{name}": array for name, array in to_tensors(config.transformer, weights).items()}
    write_tensors(path / WEIGHTS, tensors | to_classifier_tensors(config, weights))
    values = to_hugging_face(plain) | _describe_head(config, activation)
    values.pop("tfchain")
    write(path / "config.json", values)
    text_encoder.tokenizer.save(path)


def _describe_head(config: EncoderConfig, activation: ScoreActivation) -> dict[str, Any]:
    """Returns the keys of config.json that a classifier adds."""
    from tfchain.models.weights.classifier_heads import find_classifier_head, write_classifier_head

    names = [f"LABEL_{number}" for number in range(config.embedding_dim)]
    return {
        "architectures": [find_classifier_head(config.transformer.architecture).class_name],
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
        "sentence_transformers": {"activation_fn": ACTIVATION_PLACES[activation]},
        **write_classifier_head(config),
    }
