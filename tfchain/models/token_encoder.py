"""Models of late interaction as text encoders: read from a folder, made from an encoder, and saved for others."""

import dataclasses
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.encoders.anatomy import list_shapes, list_transformer_shapes
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.token_vectors import TokenVectorConfig
from tfchain.models.precision import EngineName
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.hugging_face import load_tokenizer
from tfchain.models.weights.download import find_folder
from tfchain.models.weights.folder import ModelFolder, to_transformer_config
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.late_folder import (
    LINEAR,
    QUERY_LENGTH,
    STANFORD_MARKERS,
    Expansion,
    LateFolder,
    MaxSimScale,
    find_late_place,
    read_late_folder,
)
from tfchain.models.weights.stored_encoder import StoredEncoder

DOCUMENT_LENGTH = 180  # tokens of a document in a new model, as in ColBERT
HEAD_SPREAD = 0.02  # of a new projection's weights, as in transformers


def load_token_encoder(
    name_or_path: str | Path, *, engine: EngineName = "auto", document_length: int | None = None
) -> tuple[TextEncoder, MaxSimScale]:
    """Reads a folder of late interaction.

    Args:
        name_or_path: A folder, or a name on the Hugging Face hub.
        engine: What runs the encoder. Default: `auto`.
        document_length: The maximum number of tokens in a document. Default: the folder's.

    Returns:
        The text encoder, whose vectors are matrices of token vectors (`TokenMatrix`), and whether a score is the sum
        over a query's tokens or their mean.

    Raises:
        ModelFolderError: if the folder cannot be read, or holds another kind of model.
        InputError: if `document_length` is out of range.
    """
    path = find_folder(name_or_path)
    place = find_late_place(path)
    transformer = to_transformer_config(read_json(place / "config.json"), place)
    folder = read_late_folder(path, transformer.max_length)
    tokenizer = load_tokenizer(place, **dict(folder.settings.tokenizer_options))
    register_markers(tokenizer, folder.markers)
    lengths = folder.settings
    longest = document_length or lengths.document_length or lengths.max_length
    longest = min(longest or transformer.max_length, transformer.max_length)
    config = EncoderConfig(
        transformer=dataclasses.replace(transformer, has_token_flags=True),
        dense=folder.dense,
        normalize=folder.normalize,
        tokens=_find_tokens(folder, tokenizer, longest, path),
    )
    is_stanford = bool(folder.dense) and not folder.dense_paths
    model = ModelFolder(
        encoder=config,
        transformer_path=place,
        dense_paths=folder.dense_paths,
        heads="any",
        dense_modules={"dense_0": LINEAR} if is_stanford else {},
    )
    shared = SharedModel(StoredEncoder(model))
    made = TextEncoder(
        tokenizer,
        shared,
        engine=engine,
        max_length=longest,
        query_length=lengths.query_length,
        do_lower_case=lengths.do_lower_case,
        prompts=folder.prompts,
    )
    made.runner.refresh(shared.get_fingerprint)
    return made, folder.scale


def make_token_encoder(
    text_encoder: TextEncoder,
    dim: int = 128,
    *,
    query_length: int = QUERY_LENGTH,
    document_length: int = DOCUMENT_LENGTH,
    seed: int = 0,
) -> TextEncoder:
    """Makes a model of late interaction with an encoder's transformer and tokenizer; the encoder does not change.

    A new projection with random weights takes each token to `dim` numbers: train it before use. Queries are expanded
    with the mask token, if the vocabulary has one; punctuation of documents has no vectors; `[unused0]` and `[unused1]`
    mark queries and documents, if they are in the vocabulary.

    Args:
        text_encoder: One of tfchain's own encoders, with layers.
        dim: The width of a token's vector. Default: 128.
        query_length: The tokens of an expanded query. Default: 32.
        document_length: The maximum number of tokens in a document. Default: 180, or the encoder's.
        seed: The seed of the projection's weights. Default: 0.

    Raises:
        InputError: if it is another Keras model or a static encoder, or a value is out of range.
    """
    from tfchain.models.encoders.keras_weights import KerasWeights
    from tfchain.models.weights.pretrained import make_encoder

    before = text_encoder.config
    if before is None or before.transformer.is_static or before.transformer.pairs != "none":
        raise InputError(
            "Late interaction needs one of tfchain's own encoders of single texts, with layers. Received: "
            f"{'another Keras model' if before is None else before.transformer.architecture}. Read one from a folder."
        )
    check_whole_number("dim", dim)
    check_whole_number("query_length", query_length, least=4)
    positions = before.transformer.max_length
    longest = min(check_whole_number("document_length", document_length, least=4), positions)
    tokenizer, prompts = _copy_with_markers(text_encoder)
    mask = getattr(tokenizer, "mask_token_id", None)
    expanded = 0 if mask is None else min(query_length, positions)
    config = EncoderConfig(
        transformer=dataclasses.replace(before.transformer, has_token_flags=True),
        dense=(DenseConfig(in_dim=before.transformer.hidden_dim, out_dim=dim, use_bias=False, activation="linear"),),
        normalize=True,
        tokens=TokenVectorConfig(
            num_vectors=max(longest, expanded),
            expanded_length=expanded,
            expansion_id=mask,
            skipped_ids=find_skipped_ids(tokenizer, tuple(string.punctuation)),
        ),
    )
    weights, random = KerasWeights(text_encoder.own_encoder), np.random.default_rng(seed)
    kept = list_transformer_shapes(config.transformer)
    arrays = {
        path: weights[path] if path in kept else random.normal(0.0, HEAD_SPREAD, shape).astype("float32")
        for path, shape in list_shapes(config).items()
    }
    return TextEncoder(
        tokenizer,
        SharedModel(make_encoder(config, arrays), is_private=True),
        engine=text_encoder.runner.engine,
        max_length=longest,
        query_length=min(query_length, longest),
        do_lower_case=text_encoder.tokenizer.do_lower_case,
        prompts=prompts,
    )


def register_markers(tokenizer: Any, markers: Sequence[str]) -> None:
    """Makes the tokenizer read each marker that its vocabulary has as one token, as ColBERT inserts it.

    Args:
        tokenizer: A transformers tokenizer, which changes.
        markers: Such as `[unused0]` or `[Q] `; a marker that is in no vocabulary stays a text.
    """
    from tokenizers import AddedToken

    vocabulary = tokenizer.get_vocab()
    wanted = []
    for marker in markers:
        found = next((text for text in (marker, marker.split(None, 1)[0]) if text in vocabulary), None)
        if found is not None and tokenizer.tokenize(found) != [found]:
            wanted.append(AddedToken(found, normalized=False, special=True))
    if wanted:
        tokenizer.add_tokens(wanted, special_tokens=True)


def find_skipped_ids(tokenizer: Any, words: Sequence[str]) -> tuple[int, ...]:
    """Returns the ids of the words that are one token each."""
    unknown = getattr(tokenizer, "unk_token_id", None)
    found = {word: tokenizer.convert_tokens_to_ids(word) for word in words}
    known = (number for word, number in found.items() if number != unknown or word == tokenizer.unk_token)
    return tuple(sorted({int(number) for number in known if number is not None}))


def _find_tokens(folder: LateFolder, tokenizer: Any, longest: int, path: Path) -> TokenVectorConfig:
    expansion = folder.expansion or Expansion(0)
    number = None
    if expansion.length:
        token = expansion.token or getattr(tokenizer, "mask_token", None)
        number = None if token is None else tokenizer.get_vocab().get(token)
        if number is None:
            raise ModelFolderError(
                f"{path} expands queries with {token or 'the mask token'}, which its tokenizer does not have. Get the "
                "folder again."
            )
    return TokenVectorConfig(
        num_vectors=max(longest, expansion.length, folder.settings.query_length or 0),
        expanded_length=expansion.length,
        expansion_id=number,
        attends_to_expansion=expansion.attends,
        truncates_expanded=expansion.truncates,
        skipped_ids=find_skipped_ids(tokenizer, folder.skipped_words),
    )


def _copy_with_markers(text_encoder: TextEncoder) -> tuple[Any, dict[str, str]]:
    """Returns a copy of the tokenizer with ColBERT's markers, and the prompts with them before."""
    import copy

    tokenizer = copy.deepcopy(text_encoder.tokenizer.tokenizer)
    vocabulary = tokenizer.get_vocab()
    markers = {role: marker for role, marker in STANFORD_MARKERS.items() if marker in vocabulary}
    register_markers(tokenizer, tuple(markers.values()))
    own = {"query": text_encoder.query_prompt, "document": text_encoder.document_prompt}
    prompts = {role: f"{markers[role]} {own[role]}" if role in markers else own[role] for role in own}
    return tokenizer, {role: prompt for role, prompt in prompts.items() if prompt}
