"""Reads the parts of a BPE or Unigram tokenizer from a Hugging Face tokenizer; refuses what a graph cannot express."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tfchain.models.tokenizers.added_tokens import AddedToken
from tfchain.models.tokenizers.bpe_pieces import BOUNDARY_BYTE
from tfchain.models.tokenizers.framing import Framing
from tfchain.models.tokenizers.graph_pre_tokenizer import BOUNDARY, make_graph_pre_tokenizer
from tfchain.models.tokenizers.hugging_face_parts import check_type, read_parts, read_post_processor
from tfchain.models.tokenizers.sentencepiece_model import PieceModel


def read_sentencepiece_settings(tokenizer: Any, *, pad_id: int | None, do_lower_case: bool) -> dict[str, Any]:
    """Reads the arguments of `SentencePieceTokenizer`.

    Args:
        tokenizer: A transformers tokenizer that is based on the `tokenizers` package.
        pad_id: The id that pads shorter texts. Default: the tokenizer's, else 0.
        do_lower_case: Whether texts are lower-cased before they are normalised.

    Returns:
        All its arguments by name.

    Raises:
        InputError: if a part of the tokenizer cannot be expressed; the message names it.
    """
    parts = read_parts(tokenizer)
    model = check_type("model", parts["model"], *MODELS)
    pieces = MODELS[model["type"]](parts)
    normalizer = _with_lower_case(parts["normalizer"]) if do_lower_case else parts["normalizer"]
    prefix, suffix = read_post_processor(parts["post_processor"])
    own_pad = tokenizer.pad_token_id
    return {
        "model": pieces,
        "framing": Framing(
            tuple(token_id for _, token_id in prefix),
            tuple(token_id for _, token_id in suffix),
            pad_id if pad_id is not None else own_pad or 0,
            tokenizer.truncation_side,
        ),
        "normalize": _make_normalizer(normalizer),
        "pre_tokenize": make_graph_pre_tokenizer(
            _without_idle_split(parts["pre_tokenizer"], normalizer),
            boundary=BOUNDARY_BYTE if pieces.reads_bytes else BOUNDARY,
            splits_metaspace=model["type"] == "Unigram" or _has_inner_space(model["vocab"]),
        ),
        "added_tokens": _read_added_tokens(parts["added_tokens"], bool(tokenizer.split_special_tokens)),
        "normalize_token": None if normalizer is None else _make_text_normalizer(normalizer),
    }


def _read_bpe(parts: Mapping[str, Any]) -> PieceModel:
    from tfchain.models.tokenizers.bpe_pieces import read_bpe

    return read_bpe(parts)


def _read_unigram(parts: Mapping[str, Any]) -> PieceModel:
    from tfchain.models.tokenizers.unigram_pieces import read_unigram

    return read_unigram(parts)


# Each takes the whole tokenizer.json, and raises an InputError that names what it cannot express.
MODELS: dict[str, Callable[[Mapping[str, Any]], PieceModel]] = {"BPE": _read_bpe, "Unigram": _read_unigram}


def _make_normalizer(spec: Mapping[str, Any] | None) -> Callable[[Any], Any] | None:
    if spec is None:
        return None
    from tfchain.models.tokenizers.graph_normalizer import make_graph_normalizer

    return make_graph_normalizer(spec)


def _make_text_normalizer(spec: Mapping[str, Any]) -> Callable[[str], str]:
    """Returns the function with which `tokenizers` normalises a token's text."""
    from tokenizers import Tokenizer, models

    empty = json.loads(Tokenizer(models.BPE()).to_str())
    made: Callable[[str], str] = Tokenizer.from_str(json.dumps({**empty, "normalizer": spec})).normalizer.normalize_str
    return made


def _with_lower_case(spec: Mapping[str, Any] | None) -> dict[str, Any]:
    """Puts lower-casing before a normalizer that has none, as `HostTokenizer` does."""
    own = [] if spec is None else list(spec["normalizers"]) if spec["type"] == "Sequence" else [spec]
    lower = [] if any(step["type"] == "Lowercase" for step in own) else [{"type": "Lowercase"}]
    return {"type": "Sequence", "normalizers": [*lower, *own]}


def _read_added_tokens(tokens: list[dict[str, Any]], splits_special: bool) -> list[AddedToken]:
    """Returns the added tokens, the special ones first, as the tokenizer looks for them."""
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    return [
        AddedToken(
            token["content"],
            token["id"],
            **{flag: token[flag] for flag in flags},
            ignored=token["special"] and splits_special,
        )
        for token in sorted(tokens, key=lambda token: not token["special"])
        if token["content"]
    ]


def _without_idle_split(spec: Mapping[str, Any] | None, normalizer: Mapping[str, Any] | None) -> Any:
    """Returns the pre-tokenizer, None for one that splits at spaces where the normalizer has replaced all (Gemma)."""
    if spec is None or spec["type"] != "Split" or spec["pattern"] != {"String": " "} or normalizer is None:
        return spec
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    last = steps[-1] if steps else {"type": None}
    is_idle = last["type"] == "Replace" and last["pattern"] == {"String": " "} and " " not in str(last["content"])
    return None if is_idle else spec


def _has_inner_space(vocabulary: Any) -> bool:
    """Returns whether a piece has the mark of a space after its first character."""
    tokens = vocabulary if isinstance(vocabulary, Mapping) else (piece for piece, _ in vocabulary)
    return any("\u2581" in token[1:] for token in tokens)
