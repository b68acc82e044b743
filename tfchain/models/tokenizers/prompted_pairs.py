"""Pairs of texts in a prompt, as decoders that answer yes or no read them."""

import functools
from collections.abc import Sequence
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.pairs import PairTokenizer, split_pair

FILLERS = ("0", "1 2 3 4")  # the ids that both end with belong to the prompt, as in sentence-transformers


class PromptedPairTokenizer(PairTokenizer):
    """Turns joined pairs into the token ids of a prompt with both texts in it.

    The whole prompt is tokenized as one text, because words run across the ends of its parts. One that is too long is
    truncated, and ends with the last tokens of the prompt all the same, as in sentence-transformers: the answer is
    read there. A text without `PAIR` is a pair with an empty document.

    Args:
        tokenizer: As for `HostTokenizer`.
        prompt: The text before the query, between query and document, and after the document.
        **options: As for `HostTokenizer`.
    """

    def __init__(self, tokenizer: Any, *, prompt: Sequence[str], **options: Any) -> None:
        super().__init__(tokenizer, **options)
        self.prompt = tuple(prompt)
        self.num_pair_tokens = len(super().find_ids(["".join(self.prompt)])[0])
        if len(self.end) >= self.max_length:
            raise InputError(
                f"`max_length` must be more than the {len(self.end)} tokens that end the prompt. "
                f"Received: max_length={self.max_length}.",
                argument="max_length",
            )

    @functools.cached_property
    def end(self) -> tuple[int, ...]:
        """The ids that end each prompt."""
        first, second = super().find_ids([self._fill(filler, filler) for filler in FILLERS])
        count = 0
        while count < min(len(first), len(second)) and first[-1 - count] == second[-1 - count]:
            count += 1
        return tuple(first[len(first) - count :])

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of each pair in the prompt, at most `max_length`."""
        pairs = [split_pair(text) for text in texts]
        found = super().find_ids([self._fill(first, second or "") for first, second in pairs])
        return [self._truncate(ids) for ids in found]

    def join_ids(self, first: Sequence[int], second: Sequence[int]) -> list[int]:
        """Raises: the ids of a prompt are not those of its parts."""
        raise self._make_error()

    def find_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Raises: the ids of a prompt are not those of its parts."""
        raise self._make_error()

    def _make_error(self) -> InputError:
        return InputError(
            "The tokens of a prompt are not those of the texts in it, so this tokenizer takes joined pairs only: "
            "call it with join_pair(query, document)."
        )

    def _fill(self, first: str, second: str) -> str:
        before, between, after = self.prompt
        return f"{before}{first}{between}{second}{after}"

    def _truncate(self, ids: list[int]) -> list[int]:
        if len(ids) <= self.max_length:
            return ids
        side = getattr(self.source, "truncation_side", "right")
        kept = ids[-self.max_length :] if side == "left" else ids[: self.max_length]
        return [*kept[: self.max_length - len(self.end)], *self.end]
