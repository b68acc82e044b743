"""Readers as text encoders: pairs of a question and a text to logits of each token; read, made, and saved again."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.models.encoders.anatomy import list_shapes, list_transformer_shapes
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.precision import EngineName
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.text_encoder_checks import find_max_length
from tfchain.models.tokenizers.hugging_face import load_tokenizer
from tfchain.models.tokenizers.stored import read_stored_tokenizer
from tfchain.models.weights.download import find_folder
from tfchain.models.weights.span_folder import read_span_folder, to_span_encoder, to_span_tensors
from tfchain.models.weights.span_heads import find_span_head
from tfchain.models.weights.stored_encoder import StoredEncoder

HEAD_SPREAD = 0.02  # of a new head's weights, as in transformers
MAX_LENGTH = 384  # tokens of question and text together, as readers of SQuAD are trained with
LEAST_LENGTH = 12


def is_reader(model: TextEncoder) -> bool:
    """Returns whether a text encoder gives each token of a pair of texts the logits of a reader."""
    config = model.config
    return config is not None and config.tokens is not None and config.transformer.pairs in ("plain", "typed")


def load_span_encoder(
    name_or_path: str | Path, *, engine: EngineName = "auto", max_length: int | None = None
) -> TextEncoder:
    """Reads the folder of a `…ForQuestionAnswering`.

    Args:
        name_or_path: A folder, or a name on the Hugging Face hub.
        engine: What runs the encoder. Default: `auto`.
        max_length: The maximum number of tokens of question and text. Default: 384, or as many as there are positions.

    Returns:
        The reader, which takes joined pairs (`tokenizers.pairs`) and gives the logits of start and end of each token,
        `(pairs, max_length * 2)`.

    Raises:
        ModelFolderError: if the folder cannot be read, or holds another kind of model.
        InputError: if `max_length` is out of range.
    """
    path = find_folder(name_or_path)
    folder = read_span_folder(path)
    tokenizer = read_stored_tokenizer(path) or load_tokenizer(path)
    length = _find_length(tokenizer, folder.encoder, max_length)
    shared = SharedModel(StoredEncoder(dataclasses.replace(folder, encoder=_cut(folder.encoder, length))))
    made = TextEncoder(tokenizer, shared, engine=engine, max_length=length)
    made.runner.refresh(shared.get_fingerprint)
    return made


def make_span_encoder(text_encoder: TextEncoder, *, max_length: int | None = None, seed: int = 0) -> TextEncoder:
    """Makes a reader with an encoder's transformer and tokenizer, and a new head; the encoder does not change.

    The head is the architecture's own in transformers, with random weights: train it before use.

    Args:
        text_encoder: One of tfchain's own encoders.
        max_length: The maximum number of tokens of question and text. Default: 384, or as many as there are positions.
        seed: The seed of the head's weights. Default: 0.

    Raises:
        InputError: if it is another Keras model, or `max_length` is out of range.
        ModelFolderError: if the architecture has no head.
    """
    from tfchain.models.encoders.keras_weights import KerasWeights
    from tfchain.models.weights.pretrained import make_encoder

    before = text_encoder.config
    if before is None:
        raise InputError(
            "A reader needs one of tfchain's own encoders. Received: another Keras model. Read one from a folder."
        )
    plain = dataclasses.replace(before.transformer, pairs="none", has_token_flags=False)
    config = to_span_encoder(plain)
    config = _cut(config, _find_length(text_encoder.tokenizer.source, config, max_length, has_own=False))
    weights, random = KerasWeights(text_encoder.own_encoder), np.random.default_rng(seed)
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
        max_length=_get_length(config),
        do_lower_case=text_encoder.tokenizer.do_lower_case,
    )


def save_span_encoder(text_encoder: TextEncoder, path: Path) -> None:
    """Writes a reader as a folder that transformers' AutoModelForQuestionAnswering reads.

    Args:
        text_encoder: A reader.
        path: An empty folder.

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
    assert config is not None  # only tfchain's own encoders are readers
    transformer = dataclasses.replace(config.transformer, pairs="none")
    plain = EncoderConfig(transformer=transformer)
    if not is_portable(plain):
        raise InputError(
            "Only a transformer with the same heads and widths in all layers, and without a mean over layers, can be "
            "saved for transformers. "
            f"Received: {config.transformer}. Use `save`, which tfchain itself reads."
        )
    weights = KerasWeights(text_encoder.own_encoder)
    prefix = FAMILIES[transformer.architecture].weights.prefix
    tensors = {f"{prefix}{name}": array for name, array in to_tensors(transformer, weights).items()}
    write_tensors(path / WEIGHTS, tensors | to_span_tensors(config, weights))
    head = find_span_head(transformer.architecture)
    values = to_hugging_face(plain) | {"architectures": [head.class_name]}
    if head.dense is not None:
        values |= {"classifier_bias": config.dense[0].use_bias, "classifier_activation": config.dense[0].activation}
    if head.dropout_key is not None:
        values[head.dropout_key] = config.dense[-1].dropout
    values.pop("tfchain")
    write(path / "config.json", values)
    text_encoder.tokenizer.save(path)


def _find_length(tokenizer: Any, config: EncoderConfig, requested: int | None, *, has_own: bool = True) -> int:
    """Returns the maximum: as requested, else 384, if the positions and (with `has_own`) the tokenizer allow it."""
    if requested is not None:
        check_whole_number("max_length", requested, least=LEAST_LENGTH)
        return find_max_length(tokenizer, config, requested)
    own = find_max_length(tokenizer, config, None) if has_own else config.transformer.max_length
    return min(MAX_LENGTH, own)


def _cut(config: EncoderConfig, length: int) -> EncoderConfig:
    """Returns the shape with logits for as many tokens as a pair can have."""
    assert config.tokens is not None  # of a reader
    return dataclasses.replace(config, tokens=dataclasses.replace(config.tokens, num_vectors=length))


def _get_length(config: EncoderConfig) -> int:
    assert config.tokens is not None  # of a reader
    return config.tokens.num_vectors
