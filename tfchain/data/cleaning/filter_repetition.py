"""The step that leaves out texts that repeat themselves, by the rules of Gopher."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tfchain.core.errors import InputError
from tfchain.data.cleaning.judged_texts import check_columns, judged_texts
from tfchain.data.cleaning.setting_checks import check_count, check_share
from tfchain.data.documents.words import cut_words, share_unspaced
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import FilterStep

TOP_SIZES = (2, 3, 4)
DUPLICATE_SIZES = (5, 6, 7, 8, 9, 10)
CHARACTERS_PER_WORD = 1.6  # of Chinese prose


@dataclass(frozen=True)
class FilterRepetition(FilterStep):
    """Keeps records whose texts do not repeat their own lines, paragraphs or phrases.

    The rules and thresholds are Gopher's (Rae et al. 2021, https://arxiv.org/abs/2112.11446, table A1). A line, a
    paragraph or a run of words counts as duplicate from its second occurrence on, as in datatrove's implementation.
    Texts mostly in scripts without spaces, such as Chinese, are compared by runs of 1.6 times as many characters, since
    a Chinese word has about 1.6; this is ours, not the paper's.

    Args:
        duplicate_lines: The greatest share of lines that are duplicates. Default: 0.3. `None` switches a rule off, here
            and below.
        duplicate_line_characters: The greatest share of characters in them. Default: 0.2.
        duplicate_paragraphs: The greatest share of paragraphs that are duplicates. Default: 0.3.
        duplicate_paragraph_characters: The greatest share of characters in them. Default: 0.2.
        top_ngrams: The greatest share of characters in the most frequent run of 2, 3 and 4 words. Default: 0.2, 0.18,
            0.16.
        duplicate_ngrams: The greatest share of characters in duplicate runs of 5 to 10 words, overlaps counted once.
            Default: 0.15, 0.14, 0.13, 0.12, 0.11, 0.1.
        min_words: Texts of fewer words are judged by lines and paragraphs alone: in a short text every phrase is a
            large share. (Gopher leaves out texts of under 50 words.) Default: 50.
        columns: Columns of rows to judge. Default: all texts.

    Raises:
        InputError: if a setting is out of range.
    """

    name: ClassVar[str] = "filter_repetition"
    duplicate_lines: float | None = 0.3
    duplicate_line_characters: float | None = 0.2
    duplicate_paragraphs: float | None = 0.3
    duplicate_paragraph_characters: float | None = 0.2
    top_ngrams: tuple[float, ...] | None = (0.2, 0.18, 0.16)
    duplicate_ngrams: tuple[float, ...] | None = (0.15, 0.14, 0.13, 0.12, 0.11, 0.1)
    min_words: int = 50
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("lines", "line_characters", "paragraphs", "paragraph_characters"):
            check_share(f"duplicate_{name}", getattr(self, f"duplicate_{name}"))
        check_shares("top_ngrams", self.top_ngrams, TOP_SIZES)
        check_shares("duplicate_ngrams", self.duplicate_ngrams, DUPLICATE_SIZES)
        check_count("min_words", self.min_words, optional=False)
        check_columns(self.columns)

    def reason(self, record: Record) -> str | None:
        """Returns what a text repeats."""
        for text in judged_texts(record, self.columns):
            found = self.repeated_parts(text) or self.repeated_words(text)
            if found:
                return found
        return None

    def repeated_parts(self, text: str) -> str | None:
        """Returns whether lines or paragraphs repeat too often."""
        if "\n" not in text:
            return None
        for what, mark, share, characters in (
            ("paragraphs", "\n\n", self.duplicate_paragraphs, self.duplicate_paragraph_characters),
            ("lines", "\n", self.duplicate_lines, self.duplicate_line_characters),
        ):
            parts = [part.strip() for part in text.split(mark) if part.strip()]
            repeated = find_repeated(parts)
            if share is not None and len(repeated) > share * len(parts):
                return f"duplicate {what}"
            if characters is not None and sum(map(len, repeated)) > characters * sum(map(len, parts)):
                return f"characters in duplicate {what}"
        return None

    def repeated_words(self, text: str) -> str | None:
        """Returns whether runs of words repeat too often."""
        words = cut_words(text)
        if len(words) < self.min_words:
            return None
        factor = CHARACTERS_PER_WORD if share_unspaced(text) > 0.5 else 1
        lengths = list(map(len, words))
        total = sum(lengths)
        for number, share in zip(TOP_SIZES, self.top_ngrams or (), strict=False):
            size = round(number * factor)
            run, count = Counter(zip(*(words[start:] for start in range(size)), strict=False)).most_common(1)[0]
            if count > 1 and count * sum(map(len, run)) > share * total:
                return f"most frequent {number} words"
        for number, share in zip(DUPLICATE_SIZES, self.duplicate_ngrams or (), strict=False):
            repeated = repeated_characters(words, lengths, round(number * factor))
            if repeated > share * total:
                return f"duplicate runs of {number} words"
            if not repeated:  # then no longer run repeats either
                break
        return None


def find_repeated(parts: Sequence[str]) -> list[str]:
    """Returns each part that occurred before, once for each such occurrence."""
    seen: set[str] = set()
    repeated = []
    for part in parts:
        if part in seen:
            repeated.append(part)
        seen.add(part)
    return repeated


def repeated_characters(words: Sequence[str], lengths: Sequence[int], size: int) -> int:
    """Returns how many characters stand in runs of `size` words that occurred before; each character once."""
    seen: set[tuple[str, ...]] = set()
    count, covered = 0, 0
    for place, run in enumerate(zip(*(words[start:] for start in range(size)), strict=False)):
        if run in seen:
            count += sum(lengths[max(place, covered) : place + size])
            covered = place + size
        else:
            seen.add(run)
    return count


def check_shares(name: str, shares: Sequence[float] | None, sizes: Sequence[int]) -> None:
    """Raises an InputError if a setting is not a share for each size."""
    if shares is None:
        return
    if not isinstance(shares, list | tuple) or len(shares) != len(sizes):
        raise InputError(
            f"`{name}` must be {len(sizes)} shares, for runs of {', '.join(map(str, sizes))} words, or None to switch "
            f"the rule off. Received: {name}={shares!r}.",
            argument=name,
        )
    for share in shares:
        check_share(name, share, optional=False)
