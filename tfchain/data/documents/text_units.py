"""Units: the parts between which a text can be cut (words, Chinese sentences), with their numbers of tokens."""

import bisect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from tfchain.data.documents.clusters import is_cluster_start, nearest_cluster_start

CountTokens = Callable[[Sequence[str]], Sequence[int]]
FindEnds = Callable[[str], Iterable[int]]

# A word with the white space before it (tokenizers that see spaces count " word" differently from "word"). Chinese has
# no spaces: its units are sentences, which are cut further only if they are too long.
UNIT = re.compile(r"\s*[^\s。！？；]*[。！？；]*[\"”’」』）]*")
SENTENCE_END = re.compile(r"[.!?。！？；]+[\"')\]”’」』）]*")  # also in 3.14, where no unit ends
WHITE_SPACE = re.compile(r"\s+")
CLAUSE_END = re.compile(r"[，、：,;:/\-]")


@dataclass(frozen=True, slots=True)
class Units:
    """A text's units, which are adjacent and cover the whole text.

    Args:
        bounds: Offsets in the text: unit `i` is `text[bounds[i]:bounds[i + 1]]`.
        totals: Tokens before each bound: units `i` to `j - 1` have `totals[j] - totals[i]`.
        sentence_ends: Indices into `bounds` where a sentence or a line ends, ascending.
        has_cut_words: Whether a unit was too long, and cut.
    """

    bounds: list[int]
    totals: list[int]
    sentence_ends: list[int]
    has_cut_words: bool

    def last_sentence_end(self, low: int, high: int) -> int | None:
        """Returns the last index in `[low, high]` where a sentence ends; None if there is none."""
        place = bisect.bisect_right(self.sentence_ends, high) - 1
        return self.sentence_ends[place] if place >= 0 and self.sentence_ends[place] >= low else None

    def first_sentence_end(self, low: int, high: int) -> int | None:
        """Returns the first index in `[low, high]` where a sentence ends; None if there is none."""
        place = bisect.bisect_left(self.sentence_ends, low)
        ends = self.sentence_ends
        return ends[place] if place < len(ends) and ends[place] <= high else None


@dataclass(frozen=True, slots=True)
class Words:
    """A text's words as `cut_at_spaces` gives them, by where they are and how many tokens they have.

    Args:
        bounds: Offsets in the text, as in `Units`.
        totals: Tokens before each bound, as in `Units`.
        longest: The number of tokens of the word that has most; 0 if there is none.
    """

    bounds: list[int]
    totals: list[int]
    longest: int


def count_words(texts: Sequence[str], count_tokens: CountTokens, counted: dict[str, int]) -> list[Words]:
    """Cuts texts at spaces, and counts each distinct word once over all texts.

    Args:
        texts: The texts.
        count_tokens: Returns the number of tokens, without special tokens, of each string.
        counted: Numbers of tokens of words that are already known; new words are added.
    """
    bounds: list[list[int]] = []
    counts: list[list[Any]] = []
    unknown: dict[int, list[str]] = {}  # the words of the texts of which some are new
    for number, text in enumerate(texts):
        parts = cut_at_spaces(text)
        bounds.append(list(accumulate(map(len, parts), initial=0)))
        counts.append(list(map(counted.get, parts)))
        if None in counts[-1]:
            unknown[number] = parts
    count_new(unknown.values(), count_tokens, counted)
    for number, parts in unknown.items():
        counts[number] = list(map(counted.__getitem__, parts))
    totals = [list(accumulate(found, initial=0)) for found in counts]
    return [Words(*values) for values in zip(bounds, totals, (max(found, default=0) for found in counts), strict=True)]


def make_units(
    texts: Sequence[str],
    limits: Sequence[int],
    count_tokens: CountTokens,
    counted: dict[str, int],
    find_ends: FindEnds | None = None,
    words: Sequence[Words] | None = None,
) -> list[Units]:
    """Cuts texts into units, and counts each distinct unit once over all texts.

    Args:
        texts: The texts.
        limits: For each text, the maximum number of tokens in a unit; longer units are cut repeatedly near their
            middle, at a comma or similar mark if there is one, and not before a combining mark or within an emoji where
            there is another place. A single character is never cut.
        count_tokens: Returns the number of tokens, without special tokens, of each string.
        counted: Numbers of tokens of units that are already known; new units are added.
        find_ends: Returns the offsets where a text's sentences end. Default: `find_line_and_sentence_ends`.
        words: The results of `count_words`, where they are at hand. Default: they are made.

    Returns:
        The units of each text.
    """
    words = count_words(texts, count_tokens, counted) if words is None else words
    long = [i for i, limit in enumerate(limits) if words[i].longest > limit]
    found = cut_long([texts[i] for i in long], [limits[i] for i in long], count_tokens, counted)
    shorter = dict(zip(long, found, strict=True))
    ends_of = find_ends or find_line_and_sentence_ends
    units = []
    for i, text in enumerate(texts):
        fitting = shorter.get(i, words[i])
        ends = find_places(fitting.bounds, ends_of(text))
        units.append(Units(fitting.bounds, fitting.totals, ends, has_cut_words=fitting.bounds != words[i].bounds))
    return units


def cut_long(
    texts: Sequence[str], limits: Sequence[int], count_tokens: CountTokens, counted: dict[str, int]
) -> list[Words]:
    """Cuts the words of texts until none has more tokens than its text's limit; see `make_units`."""
    parts = [cut_at_spaces(text) for text in texts]
    waiting: Sequence[int] = range(len(texts))
    while waiting:
        count_new([parts[i] for i in waiting], count_tokens, counted)
        waiting = [i for i in waiting if halve_long(parts[i], limits[i], counted)]
    found = []
    for pieces in parts:
        counts = list(map(counted.__getitem__, pieces))
        bounds = list(accumulate(map(len, pieces), initial=0))
        found.append(Words(bounds, list(accumulate(counts, initial=0)), max(counts)))
    return found


def count_new(parts: Iterable[list[str]], count_tokens: CountTokens, counted: dict[str, int]) -> None:
    """Counts the tokens of each unit that is not known yet.

    Args:
        parts: The units of texts.
        count_tokens: Returns the number of tokens, without special tokens, of each string.
        counted: Numbers of tokens of units that are already known; new units are added.
    """
    new = list(set().union(*parts).difference(counted))
    if new:
        counted.update(zip(new, count_tokens(new), strict=True))


def cut_at_spaces(text: str) -> list[str]:
    """Cuts a text into words (with the white space before them) and Chinese sentences; joined, they are the text."""
    if text.isascii() and text.isprintable() and "  " not in text and text[:1] != " ":
        return text.replace(" ", "\0 ").split("\0") if text else []  # twice as fast as the pattern
    parts: list[str] = UNIT.findall(text)
    if not parts[-1]:  # the pattern also matches the empty string at the end
        parts.pop()
    return parts


def halve_long(parts: list[str], limit: int, counted: Mapping[str, int]) -> bool:
    """Cuts parts of more than `limit` tokens in two, in place; returns whether it cut any."""
    before = len(parts)
    cut: list[str] = []
    for part in parts:
        if counted[part] > limit and len(part) > 1:
            at = middle(part)
            cut += (part[:at], part[at:])
        else:
            cut.append(part)
    parts[:] = cut
    return len(parts) > before


def middle(part: str) -> int:
    """Returns where to cut a part that is too long: after the mark nearest its middle, else in the middle."""
    half = len(part) // 2
    marks = [match.end() for match in CLAUSE_END.finditer(part, 0, len(part) - 1)]
    at = min(marks, key=lambda mark: abs(mark - half), default=half)
    return at if is_cluster_start(part, at) else nearest_cluster_start(part, at)


def find_places(bounds: Sequence[int], offsets: Iterable[int]) -> list[int]:
    """Returns the indices of the bounds that are among some offsets, ascending."""
    places = ((bisect.bisect_left(bounds, offset), offset) for offset in sorted(offsets))  # few beside the bounds
    return [place for place, offset in places if bounds[place] == offset]


def find_line_and_sentence_ends(text: str) -> set[int]:
    """Returns the offsets where a sentence or a line ends, as marks and line feeds alone say it."""
    ends = {match.end() for match in SENTENCE_END.finditer(text)}
    if "\n" in text:
        # Lines end before white space that contains a line feed. The pattern `\s*\n` takes quadratic time on spaces.
        ends.update(match.start() for match in WHITE_SPACE.finditer(text) if "\n" in match.group())
    return ends
