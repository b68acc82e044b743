"""Reads the parts of a WordPiece tokenizer from a Hugging Face tokenizer; refuses what the graph cannot express."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError


@dataclass(frozen=True, slots=True)
class SpecialToken:
    """A token that is looked for in the text itself, before the text is split into words.

    Whether it includes the white space beside it (`lstrip`, `rstrip` in Hugging Face) makes no difference here, because
    white space yields no tokens.

    Args:
        text: The token's text, for example `"[SEP]"`. Case matters.
        token_id: Its id, in the vocabulary or after it.
        normalized: Whether to look for it in the normalised text, where case does not matter for a lower-casing
            tokenizer. Default: False.

    Raises:
        InputError: if `text` is empty, or if it is looked for in normalised text and begins or ends with white space.
    """

    text: str
    token_id: int
    normalized: bool = False

    def __post_init__(self) -> None:
        if not self.text or (self.normalized and self.text != self.text.strip()):
            raise InputError(
                "A special token must have a text, without white space at its ends if it is looked for in normalised "
                f"text. Received: text={self.text!r}, normalized={self.normalized}. Remove the white space."
            )


def read_settings(tokenizer: Any) -> dict[str, Any]:
    """Reads the arguments of `WordPieceTokenizer`.

    Args:
        tokenizer: A transformers tokenizer that is based on the `tokenizers` package.

    Returns:
        The vocabulary and all keyword arguments.

    Raises:
        InputError: if a part of the tokenizer cannot be expressed; the message names it.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _make_part_error("type", "a tokenizer with a `backend_tokenizer`", type(tokenizer).__name__)
    if tokenizer.padding_side != "right":
        raise _make_part_error("padding_side", "'right'", repr(tokenizer.padding_side))
    if tokenizer.pad_token is None:
        raise _make_part_error("pad token", "one", "none")
    parts = json.loads(backend.to_str())
    model = _check_type("model", parts["model"], "WordPiece")
    normalizer = _check_type("normalizer", parts["normalizer"], "BertNormalizer")
    _check_type("pre-tokenizer", parts["pre_tokenizer"], "BertPreTokenizer")
    special_tokens = []
    for token in sorted(parts["added_tokens"], key=lambda token: not token["special"]):  # in the order they are tried
        if token["special"] and tokenizer.split_special_tokens:
            continue  # the tokenizer is set not to look for them
        if token["single_word"]:
            raise _make_part_error("added token", "tokens without `single_word`", repr(token["content"]))
        special_tokens.append(SpecialToken(token["content"], token["id"], token["normalized"]))
    ids = {**model["vocab"], **{token["content"]: token["id"] for token in parts["added_tokens"]}}
    prefix, suffix = _read_post_processor(parts["post_processor"], ids)
    return {
        "vocabulary": model["vocab"],
        "lowercase": normalizer["lowercase"],
        "strip_accents": normalizer["strip_accents"],
        "split_chinese": normalizer["handle_chinese_chars"],
        "clean_text": normalizer["clean_text"],
        "unknown_token": model["unk_token"],
        "prefix": prefix,
        "suffix": suffix,
        "pad_token": tokenizer.pad_token,
        "special_tokens": special_tokens,
        "continuing_prefix": model["continuing_subword_prefix"],
        "max_word_characters": model["max_input_chars_per_word"],
        "truncation_side": tokenizer.truncation_side,
    }


def _read_post_processor(processor: Mapping[str, Any] | None, ids: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """Returns the tokens before and after a single text."""
    if processor is None:
        return [], []
    _check_type("post-processor", processor, "TemplateProcessing", "BertProcessing", "RobertaProcessing")
    if processor["type"] != "TemplateProcessing":
        pairs = [[processor["cls"]], [processor["sep"]]]
    else:
        pairs = [[]]
        for step in processor["single"]:
            if "Sequence" in step:
                pairs.append([])
            else:
                token = processor["special_tokens"][step["SpecialToken"]["id"]]
                pairs[-1].extend(zip(token["tokens"], token["ids"], strict=True))
    if len(pairs) != 2 or any(ids.get(token) != token_id for pair in pairs for token, token_id in pair):
        raise _make_part_error("post-processor", "the text once, among tokens of the vocabulary", json.dumps(processor))
    prefix, suffix = ([token for token, _ in pair] for pair in pairs)
    return prefix, suffix


def _check_type(part: str, value: Mapping[str, Any] | None, *expected: str) -> Mapping[str, Any]:
    received = None if value is None else value["type"]
    if value is None or received not in expected:
        raise _make_part_error(part, " or ".join(expected), str(received))
    return value


def _make_part_error(part: str, expected: str, received: str) -> InputError:
    return InputError(
        f"The tokenizer's {part} cannot be put into a graph. Expected: {expected}. Received: {received}. "
        "Tokenize with the Hugging Face tokenizer on the host, and serve token ids."
    )
