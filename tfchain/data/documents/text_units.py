"""Units: the smallest parts that a text is cut at (words, Chinese sentences), with their numbers of tokens."""

import bisect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

CountTokens = Callable[[Sequence[str]], Sequence[int]]

# A word with the white space before it (tokenizers that see spaces count " word" otherwise than "word"). Chinese has no
# spaces: its sentences are the units, and are cut further only where they are too long.
UNIT = re.compile(r"\s*[^\s。！？；]*[。！？；]*[\"”’」』）]*")
SENTENCE_END = re.compile(r"[.!?。！？；]+[\"')\]”’」』）]*")  # of 3.14, too: it is no unit's end
WHITE_SPACE = re.compile(r"\s+")
CLAUSE_END = re.compile(r"[，、：,;:/\-]")


@dataclass(frozen=True, slots=True)
class Units:
    """A text's units, which lie side by side and cover all of it.

    Args:
        bounds: Offsets in the text: unit `i` is `text[bounds[i]:bounds[i + 1]]`.
        totals: Tokens before each bound, so that units `i` to `j` count `totals[j] - totals[i]`.
        sentence_ends: The places in `bounds` where a sentence or a line ends, ascending.
    """

    bounds: list[int]
    totals: list[int]
    sentence_ends: list[int]

    def last_sentence_end(self, low: int, high: int) -> int | None:
        """The last place in `[low, high]` where a sentence ends."""
        place = bisect.bisect_right(self.sentence_ends, high) - 1
        return self.sentence_ends[place] if place >= 0 and self.sentence_ends[place] >= low else None

    def first_sentence_end(self, low: int, high: int) -> int | None:
        """The first place in `[low, high]` where a sentence ends."""
        place = bisect.bisect_left(self.sentence_ends, low)
        ends = self.sentence_ends
        return ends[place] if place < len(ends) and ends[place] <= high else None


def make_units(
    texts: Sequence[str], limits: Sequence[int], count_tokens: CountTokens, counted: dict[str, int]
) -> list[Units]:
    """Cuts texts into units and counts each distinct unit once, all texts' together.

    Args:
        texts: The texts.
        limits: For each text, the largest number of tokens of a unit; larger ones are cut near their middle, at
            a comma or the like where there is one, again and again. A single character is never cut.
        count_tokens: Gives the number of tokens, without special tokens, of each string.
        counted: Numbers of units that are known already; new ones are added.

    Returns:
        The units of each text.
    """
    parts = [cut_at_spaces(text) for text in texts]
    waiting: Sequence[int] = range(len(texts))
    while waiting:
        new = [part for part in dict.fromkeys(chain.from_iterable(parts[i] for i in waiting)) if part not in counted]
        if new:
            counted.update(zip(new, count_tokens(new), strict=True))
        waiting = [i for i in waiting if cut_long(parts[i], limits[i], counted)]
    return [to_units(text, pieces, counted) for text, pieces in zip(texts, parts, strict=True)]


def count_roughly(texts: Sequence[str], count_tokens: CountTokens, counted: dict[str, int]) -> list[int]:
    """The sum over each text's units: near its number of tokens, and fast, for each distinct unit is counted once.

    Some tokenizers put a token before each string, as if a space stood there; one is taken off for each unit that has
    no space before it.

    Args:
        texts: The texts.
        count_tokens: Gives the number of tokens, without special tokens, of each string.
        counted: Numbers of units that are known already; new ones are added.

    Returns:
        A number for each text.
    """
    parts = [cut_at_spaces(text) for text in texts]
    new = [part for part in dict.fromkeys(chain.from_iterable(parts)) if part not in counted]
    if new:
        counted.update(zip(new, count_tokens(new), strict=True))
    return [
        sum(map(counted.__getitem__, pieces)) - max(0, len(pieces) - len(text.split()))
        for text, pieces in zip(texts, parts, strict=True)
    ]


def cut_at_spaces(text: str) -> list[str]:
    """Words (with the white space before them) and Chinese sentences, which joined give the text."""
    parts: list[str] = UNIT.findall(text)
    if not parts[-1]:  # the pattern matches nothing, too, at the end
        parts.pop()
    return parts


def cut_long(parts: list[str], limit: int, counted: Mapping[str, int]) -> bool:
    """Cuts the parts that count more than `limit` in two, in place; says whether there were any."""
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
    """Where to cut a part that is too long: behind the mark nearest its middle, else in the middle."""
    half = len(part) // 2
    marks = [match.end() for match in CLAUSE_END.finditer(part, 0, len(part) - 1)]
    return min(marks, key=lambda mark: abs(mark - half), default=half)


def to_units(text: str, parts: list[str], counted: Mapping[str, int]) -> Units:
    """Puts bounds, running totals and sentence ends together."""
    bounds = list(accumulate(map(len, parts), initial=0))
    totals = list(accumulate(map(counted.__getitem__, parts), initial=0))
    ends = {match.end() for match in SENTENCE_END.finditer(text)}
    # Before white space with a line feed in it. A pattern with the line feed, `\s*\n`, takes quadratic time on spaces.
    ends.update(match.start() for match in WHITE_SPACE.finditer(text) if "\n" in match.group())
    return Units(bounds, totals, [place for place, bound in enumerate(bounds) if bound in ends])
