"""Pairs of texts for a cross-encoder: joined to one text, and tokenized as Hugging Face tokenizes a pair.

A pair travels as one string, the query and the document with `PAIR` between them, so that everything that handles texts
handles pairs: batches, calibrations, recipes, engines, signatures.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfchain.models.tokenizers.host import HostTokenizer

PAIR = "\x1f"  # ASCII's unit separator; the first one in a text separates
PROBE = (f"the café's owner{PAIR}你好, 20 °C", f"a{PAIR}b c")  # as in `host`, for fingerprints


def join_pair(first: str, second: str, separator: str = PAIR) -> str:
    """Joins two texts to one, for a cross-encoder or with a separator of your own.

    Args:
        first: The first text; a `PAIR` in it is left out.
        second: The second text.
        separator: What comes between them. Default: `PAIR`.
    """
    if separator == PAIR and PAIR in first:
        first = first.replace(PAIR, "")
    return f"{first}{separator}{second}"


def split_pair(text: str) -> tuple[str, str | None]:
    """Returns the two texts of a pair; the second is None for a single text."""
    first, separator, second = text.partition(PAIR)
    return first, second if separator else None


class PairTokenizer(HostTokenizer):
    """Turns joined pairs into token ids: both texts with the special tokens of the tokenizer's template for pairs.

    Of a pair that is too long, the longer text is truncated first (`longest_first`). A text without `PAIR` is tokenized
    as a single text.

    Args:
        tokenizer: As for `HostTokenizer`.
        type_offset: What a token's id is raised by for each token type; 0 for a model without token types. Default: 0.
        **options: As for `HostTokenizer`.
    """

    def __init__(self, tokenizer: Any, *, type_offset: int = 0, **options: Any) -> None:
        super().__init__(tokenizer, **options)
        self.type_offset = type_offset
        self.num_pair_tokens = int(tokenizer.num_special_tokens_to_add(pair=True))

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of each pair, special tokens included, at most `max_length`."""
        pairs = [split_pair(text) for text in self._prepare(texts)]
        if self._fast is not None:
            asked = [first if second is None else (first, second) for first, second in pairs]
            return [self._raise(made.ids, made.type_ids) for made in self._fast.encode_batch_fast(asked)]
        options = {"truncation": True, "max_length": self.max_length, "return_token_type_ids": True}
        made = [self.source(first, second, **options) for first, second in pairs]
        return [self._raise(one["input_ids"], one["token_type_ids"]) for one in made]

    def encode_pairs(self, texts: Sequence[str]) -> list[Any]:
        """Returns the encodings of joined pairs, truncated as calling it does: with `ids` and where each token is.

        An encoding's `sequence_ids` says of each token whether it is the first text's (0) or the second's (1), and
        `offsets` where it is in that text, in characters; ids are without token types.

        Args:
            texts: Joined pairs.
        """
        assert self._fast is not None  # a tokenizer in Python does not know
        encodings: list[Any] = self._fast.encode_batch([split_pair(text) for text in self._prepare(texts)])
        return encodings

    @functools.cached_property
    def template(self) -> "PairTemplate":
        """The special tokens around the texts."""
        return find_template(self)

    def join_ids(self, first: Sequence[int], second: Sequence[int]) -> list[int]:
        """Returns the ids of a pair from those of its texts (`find_ids`): what calling it with the pair gives.

        Args:
            first: The ids of the first text.
            second: The ids of the second text.
        """
        template, offset = self.template, self.type_offset
        kept = share_room(len(first), len(second), self.max_length - template.num_tokens)
        if getattr(self.source, "truncation_side", "right") == "left":
            first, second = first[len(first) - kept[0] :], second[len(second) - kept[1] :]
        else:
            first, second = first[: kept[0]], second[: kept[1]]
        raised = [number + offset for number in (*second, *template.after)]
        return [*template.before, *first, *template.between, *raised]

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "pair_probe": self(PROBE)}

    def _raise(self, ids: list[int], types: list[int]) -> list[int]:
        """Returns the ids with their token types."""
        if not self.type_offset or 1 not in types:
            return ids
        start = types.index(1)  # Hugging Face's templates put all of type 1 behind all of type 0
        if 0 in types[start:]:
            return [number + kind * self.type_offset for number, kind in zip(ids, types, strict=True)]
        return [*ids[:start], *(number + self.type_offset for number in ids[start:])]

    def find_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of single texts, without special tokens, token types and truncation."""
        texts = self._prepare(texts)
        if self._whole is not None:
            return [made.ids for made in self._whole.encode_batch_fast(texts, add_special_tokens=False)]
        return list(self.source(texts, add_special_tokens=False)["input_ids"])


@dataclass(frozen=True)
class PairTemplate:
    """The special tokens around the texts of a pair, and around a single text.

    Args:
        before: Ids before the first text.
        between: Ids between the texts, of token type 0.
        after: Ids after the second text, of token type 1.
        after_single: Ids after a single text.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    after_single: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """The special tokens of a pair."""
        return len(self.before) + len(self.between) + len(self.after)


def find_template(tokenizer: PairTokenizer) -> PairTemplate:
    """Finds a tokenizer's template in the ids of a short pair and of a short text."""
    offset = tokenizer.type_offset
    first, second = tokenizer.find_ids(["a", "b"])
    pair, single = tokenizer([f"a{PAIR}b", "a"])
    raised = [number + offset for number in second]
    before = _find(first, pair, 0)
    start = _find(raised, pair, before + len(first))
    after = tuple(number - offset for number in pair[start + len(second) :])
    return PairTemplate(
        before=tuple(pair[:before]),
        between=tuple(pair[before + len(first) : start]),
        after=after,
        after_single=tuple(single[before + len(first) :]),
    )


def _find(part: list[int], ids: list[int], start: int) -> int:
    """Returns where a part begins in the ids, from a place on."""
    return next(place for place in range(start, len(ids)) if ids[place : place + len(part)] == part)


def share_room(first: int, second: int, room: int) -> tuple[int, int]:
    """Returns how many tokens are kept of the two texts of a pair, as `longest_first` in Hugging Face's tokenizers.

    Args:
        first: The tokens of the first text.
        second: The tokens of the second text.
        room: The most tokens of both.
    """
    if first + second <= room:
        return first, second
    short = min(first, second)
    long = max(short, room - short)
    if short + long > room:
        short, long = room // 2, room // 2 + room % 2
    return (long, short) if first > second else (short, long)
