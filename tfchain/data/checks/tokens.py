"""Counts tokens, and those that the model does not know, with whatever tokenizer is handed in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.texts import replace_surrogates

NO_MAXIMUM = 10**9  # transformers writes 10**30 for a tokenizer without a maximum
COUNTED_AT_ONCE = 1024


@dataclass(frozen=True)
class TokenCounter:
    """Counts the tokens of texts.

    Args:
        count: Returns, for each text, how many tokens it has without special tokens, and how many of them are unknown.
        max_length: The most tokens that the model reads of a text, without special tokens; `None` if that is not known.
        knows_unknown: Whether unknown tokens are counted. Default: True.
    """

    count: Callable[[Sequence[str]], list[tuple[int, int]]]
    max_length: int | None
    knows_unknown: bool = True

    def count_all(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """Counts the tokens of texts, about a thousand at a time."""
        parts = (texts[start : start + COUNTED_AT_ONCE] for start in range(0, len(texts), COUNTED_AT_ONCE))
        return [counted for part in parts for counted in self.count(part)]


def make_counter(tokenizer: Any, count_tokens: Any, max_length: int | None) -> TokenCounter | None:
    """Makes a counter of what the user gave.

    Args:
        tokenizer: A transformers tokenizer, or an object that holds one as `tokenizer`, as
            `chain.text_encoder.tokenizer` does. `None` if there is none.
        count_tokens: Returns the number of tokens of each text, without special tokens; unknown ones are not counted.
            `None` if there is none.
        max_length: The most tokens of a text, special ones included, in place of the tokenizer's. `None` keeps that.

    Returns:
        The counter; `None` if neither is given.

    Raises:
        InputError: if both are given, or one cannot be called.
    """
    if tokenizer is not None and count_tokens is not None:
        raise InputError("Give `tokenizer` or `count_tokens`, not both: each counts tokens. Received: both.")
    if count_tokens is not None:
        if not callable(count_tokens):
            raise InputError(
                "`count_tokens` must be a function from texts to their numbers of tokens. "
                f"Received: {count_tokens!r:.80}.",
                argument="count_tokens",
            )
        return TokenCounter(lambda texts: [(number, 0) for number in count_tokens(texts)], max_length, False)
    if tokenizer is None:
        return None
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    if not callable(inner) or not hasattr(inner, "num_special_tokens_to_add"):
        raise InputError(
            "`tokenizer` must be a transformers tokenizer, or a chain's (`chain.text_encoder.tokenizer`). "
            f"Received: {type(tokenizer).__name__}. Give a function as `count_tokens` instead.",
            argument="tokenizer",
        )
    most = max_length or getattr(tokenizer, "max_length", None) or getattr(inner, "model_max_length", None)
    special = int(inner.num_special_tokens_to_add(pair=False))
    content = most - special if isinstance(most, int) and most < NO_MAXIMUM else None
    unknown = getattr(inner, "unk_token_id", None)
    lower = bool(getattr(tokenizer, "do_lower_case", False)) and inner is not tokenizer

    def count(texts: Sequence[str]) -> list[tuple[int, int]]:
        asked = [replace_surrogates(text.lower() if lower else text) for text in texts]
        rows = inner(asked, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        return [(len(ids), 0 if unknown is None else ids.count(unknown)) for ids in rows]

    return TokenCounter(count, content, unknown is not None)
