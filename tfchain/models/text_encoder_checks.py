"""Checks of the arguments of a text encoder."""

from collections.abc import Mapping, Sequence
from typing import Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.models.encoders.config import EncoderConfig


def check_prompts(prompts: Mapping[str, str]) -> dict[str, str]:
    """Returns the prompts as a dict.

    Raises:
        InputError: if they are not texts by name.
    """
    if not isinstance(prompts, Mapping) or not all(isinstance(part, str) for item in prompts.items() for part in item):
        raise InputError(f"`prompts` must be a dict of prompts by name, both strings. Received: {prompts!r:.100}.")
    return dict(prompts)


def find_max_length(tokenizer: Any, config: EncoderConfig | None, requested: int | None) -> int:
    """Returns the maximum number of tokens in a text: as requested, else the limit of tokenizer and encoder."""
    positions = _find_positions(config)
    own = getattr(tokenizer, "model_max_length", None)
    limits = [limit for limit in (positions, own if own and own < 1_000_000 else None) if limit]
    if requested is None:
        return min(limits, default=512)
    requested = check_whole_number("max_length", requested, least=3)
    if positions is not None and requested > positions:
        raise InputError(
            f"`max_length` must be at least 3 and at most the model's {positions} positions. "
            f"Received: max_length={requested}."
        )
    return requested


def check_role_length(name: str, requested: int | None, config: EncoderConfig | None) -> int | None:
    """Returns the maximum of queries or documents; raises an `InputError` if it is out of range.

    Args:
        name: `query_length` or `document_length`.
        requested: The maximum; None for that of all texts.
        config: The encoder's shape, if it is known.
    """
    if requested is None:
        return None
    requested = check_whole_number(name, requested, least=3)
    positions = _find_positions(config)
    if positions is not None and requested > positions:
        raise InputError(
            f"`{name}` must be at least 3 and at most the model's {positions} positions. Received: {name}={requested}."
        )
    return requested


def _find_positions(config: EncoderConfig | None) -> int | None:
    """Returns how many tokens of a text an encoder has positions for, and vectors where each token has one."""
    if config is None:
        return None
    positions = config.transformer.max_length
    return positions if config.tokens is None else min(positions, config.tokens.num_vectors)


def check_vocabulary(tokenizer: Any, config: EncoderConfig | None) -> None:
    """Raises an `InputError` for a tokenizer with more tokens than the encoder has embeddings.

    It also does so for a static encoder's tokenizer that adds special tokens.
    """
    if config is not None and config.transformer.is_static and tokenizer.num_special_tokens_to_add(pair=False):
        raise InputError(
            "The tokenizer of a static encoder must add no special tokens, whose vectors would be part of each mean. "
            f"Received: one that adds {tokenizer.num_special_tokens_to_add(pair=False)}. Read it with "
            "tfchain.models.tokenizers.static.StaticTokenizer."
        )
    if config is not None and len(tokenizer) > config.transformer.vocabulary_size:
        raise InputError(
            f"The tokenizer has {len(tokenizer)} tokens, the model has an embedding for "
            f"{config.transformer.vocabulary_size}. Use the tokenizer that belongs to the model."
        )


def check_matryoshka_dims(dims: Sequence[int], width: int) -> tuple[int, ...]:
    """Returns the lengths to which vectors may be cut, shortest first; the vectors' own is not among them.

    Args:
        dims: The lengths.
        width: The vectors' own length.

    Raises:
        InputError: if they are no list of whole numbers, or one is above the vectors' own length.
    """
    if not isinstance(dims, list | tuple):
        raise InputError(f"`matryoshka_dims` must be a list of lengths. Received: {dims!r:.100}.")
    found = sorted({check_whole_number("matryoshka_dims", dim) for dim in dims})
    if found and found[-1] > width:
        raise InputError(
            f"`matryoshka_dims` must be at most the vectors' length of {width}. Received: {list(dims)}. Leave out "
            "the longer ones."
        )
    return tuple(dim for dim in found if dim < width)


def check_route_width(queries: int, documents: int) -> None:
    """Raises if the vectors of queries cannot be compared with those of documents.

    Args:
        queries: The width of queries' vectors.
        documents: The width of documents' vectors.

    Raises:
        InputError: with both widths.
    """
    if queries != documents:
        raise InputError(
            f"`query_route`, the encoder of its own for queries, must give vectors of the documents' width. Received: "
            f"{queries} for queries and {documents} for documents. Keep the width, or change that of both encoders."
        )
