"""Reads the parts of a WordPiece tokenizer from a Hugging Face tokenizer; refuses what the graph cannot express."""

from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.hugging_face_parts import (
    check_type,
    make_part_error,
    read_parts,
    read_post_processor,
)


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
    parts = read_parts(tokenizer)
    if tokenizer.padding_side != "right":
        raise make_part_error("padding_side", "'right'", repr(tokenizer.padding_side))
    if tokenizer.pad_token is None:
        raise make_part_error("pad token", "one", "none")
    model = check_type("model", parts["model"], "WordPiece")
    normalizer = check_type("normalizer", parts["normalizer"], "BertNormalizer")
    check_type("pre-tokenizer", parts["pre_tokenizer"], "BertPreTokenizer")
    special_tokens = []
    for token in sorted(parts["added_tokens"], key=lambda token: not token["special"]):  # in the order they are tried
        if token["special"] and tokenizer.split_special_tokens:
            continue  # the tokenizer is set not to look for them
        if token["single_word"]:
            raise make_part_error("added token", "tokens without `single_word`", repr(token["content"]))
        special_tokens.append(SpecialToken(token["content"], token["id"], token["normalized"]))
    ids = {**model["vocab"], **{token["content"]: token["id"] for token in parts["added_tokens"]}}
    around = read_post_processor(parts["post_processor"])
    if any(ids.get(token) != token_id for pairs in around for token, token_id in pairs):
        raise make_part_error("post-processor", "tokens of the vocabulary", str(around))
    prefix, suffix = ([token for token, _ in pairs] for pairs in around)
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
