"""Texts, or pairs of texts, with their targets: the rows that a task is trained and evaluated on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder


@dataclass(frozen=True)
class TextRows:
    """Rows of a data set.

    Args:
        texts: The texts.
        targets: The known facts about each text, in plain values, such as its labels.
        second_texts: The second text of each pair. Default: single texts.
    """

    texts: Sequence[str]
    targets: Sequence[Any]
    second_texts: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def join(self, separator: str) -> list[str]:
        """Returns the texts to encode: each text, or both texts of a pair with the separator between them."""
        if self.second_texts is None:
            return list(self.texts)
        return [f"{first}{separator}{second}" for first, second in zip(self.texts, self.second_texts, strict=True)]


def find_separator(text_encoder: TextEncoder) -> str:
    """Returns the text between two texts that are encoded together: the tokenizer's separator, with spaces around it.

    The tokenizer reads it as the special token, in Python and in a served graph. If a pair is longer than the model's
    maximum length, the second text is truncated first.

    Raises:
        InputError: if the tokenizer has no separator.
    """
    separator = text_encoder.tokenizer.tokenizer.sep_token
    if separator is None:
        raise InputError(
            "Pairs of texts are encoded with the tokenizer's separator between them. Received: a tokenizer without "
            "`sep_token`. Set it, or join the texts yourself."
        )
    return f" {separator} "
