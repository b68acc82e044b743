"""Long texts: cut into sentences to translate one by one, and put together again with their white space."""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfchain.data.documents.sentences import find_sentences
from tfchain.data.documents.text_units import make_units

CountTokens = Callable[[Sequence[str]], Sequence[int]]
CLAUSE_END = re.compile(r"[,;:，、；：—–][\"')\]”’」』）]*\Z")


@dataclass(frozen=True)
class SplitText:
    """A text in parts, of which every second is a sentence.

    Args:
        gaps: What stands before each sentence and after the last: white space, mostly `""`, `" "` or line breaks.
        sentences: The sentences, without white space around them; one fewer than gaps.
    """

    gaps: Sequence[str]
    sentences: Sequence[str]

    def join(self, sentences: Sequence[str]) -> str:
        """Puts sentences, such as translations, where those of the text stand; with its own ones, it is the text.

        White space around a sentence goes: that of the text stands there already.
        """
        pairs = zip(self.gaps, sentences, strict=False)
        return "".join(gap + sentence.strip() for gap, sentence in pairs) + self.gaps[-1]


def split_text(text: str, *, limit: int, count_tokens: CountTokens, kept: Sequence[tuple[int, int]] = ()) -> SplitText:
    """Cuts a text into sentences, and sentences that are too long for the model into parts.

    Sentences end where `data.documents.sentences` finds their ends, so a line that goes on in lower case on the next
    line is one sentence. A sentence of more than `limit` tokens is cut after a comma or a similar mark, else between
    words, else within a word.

    Args:
        text: The text.
        limit: The most tokens of a part.
        count_tokens: Returns the numbers of tokens of texts, without special tokens.
        kept: Offsets `(start, end)`, ascending, of what is not cut, such as terms of a glossary, unless one alone is
            too long. Default: none.

    Returns:
        The parts: `split.join(split.sentences) == text`.
    """
    spans = _join_cut(find_sentences(text), kept)
    counts = count_tokens([text[start:end] for start, end in spans]) if spans else ()
    parts: list[tuple[int, int]] = []
    for (start, end), count in zip(spans, counts, strict=True):
        if count <= limit:
            parts.append((start, end))
        else:
            inside = [(first - start, last - start) for first, last in kept if start <= first < last <= end]
            cut = _cut(text[start:end], limit, count_tokens, inside)
            parts += [(start + first, start + last) for first, last in cut]
    edges = [0, *(edge for span in parts for edge in span), len(text)]
    gaps = [text[edges[place] : edges[place + 1]] for place in range(0, len(edges), 2)]
    return SplitText(gaps, [text[start:end] for start, end in parts])


def _join_cut(spans: Sequence[tuple[int, int]], kept: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins sentences that cut what is kept: "Yahoo! Inc." ends none in its middle."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        before = bisect_left(kept, (joined[-1][1],)) if joined else 0  # that begin before this one's gap
        if before and kept[before - 1][1] > start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _cut(
    sentence: str, limit: int, count_tokens: CountTokens, kept: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Cuts a sentence into spans of at most `limit` tokens, without white space around them."""
    (units,) = make_units([sentence], [limit], count_tokens, {}, lambda text: ())
    spans: list[tuple[int, int]] = []
    first, count = 0, len(units.bounds) - 1
    while first < count:
        last = first + 1
        while last < count and units.totals[last + 1] - units.totals[first] <= limit:
            last += 1
        if last < count:  # more follows: end after a mark, if one stands in the second half
            marks = range(last, first + (last - first) // 2, -1)
            last = next((place for place in marks if CLAUSE_END.search(sentence[: units.bounds[place]])), last)
            whole = (
                place
                for place in range(last, first, -1)
                if not any(begin < units.bounds[place] < stop for begin, stop in kept)
            )
            last = next(whole, last)
        start, end = units.bounds[first], units.bounds[last]
        part = sentence[start:end]
        start += len(part) - len(part.lstrip())
        if part.strip():
            spans.append((start, start + len(part.strip())))
        first = last
    return spans
