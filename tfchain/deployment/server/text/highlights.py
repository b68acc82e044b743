"""The passages of a document that show best why it was found, with the words of the query marked in them."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from tfchain.deployment.server.text.words import Match, find_matches

SNIPPET_CHARACTERS = 240
MAX_SNIPPETS = 2
_CLOSE = 60  # characters; a smaller difference in how close words are does not count
_SENTENCE_END = re.compile(r"(?:[.!?…]+[\"')\]”’]*\s+|[。！？；…]+[”’」』）]*\s*|\n\s*(?=[^\sa-z]))")
_SPACE = re.compile(r"\s+|(?<=[，、；：])")
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff]")  # a character says as much as two or three letters
_DENSE_SAMPLE = 200
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")
_MAX_JOINED = 16


@dataclass(frozen=True, slots=True)
class Highlight:
    """A passage of a document. All places are in Unicode code points.

    Args:
        text: The passage, as it stands in the document.
        start: Its place in the document.
        marks: Where in `text` words of the query stand: pairs of the first place and the place after the last.
    """

    text: str
    start: int
    marks: list[tuple[int, int]]


def find_highlights(query: str, document: str, *, length: int | None = None) -> list[Highlight]:
    """Chooses the passages of a document that have the most different words of a query.

    A passage begins and ends at a sentence or, where that would lose words, between words. There is a second one if it
    has words that the first has not. A document without words of the query, such as one that says the same in others,
    shows its beginning. Markup is text like any other.

    Args:
        query: The query.
        document: The document.
        length: The characters of a passage at most. Default: 240, and 120 for Chinese and Japanese.

    Returns:
        One or two passages in the document's order; none for an empty document.
    """
    length = length or _choose_length(document)
    matches = find_matches(query, document)
    found: list[Highlight] = []
    seen: set[str] = set()
    while len(found) < MAX_SNIPPETS:
        window = _find_window(matches, seen, length)
        if window is None:
            break
        start, end = _place_passage(document, *window, length)
        if any(start < other.start + len(other.text) and other.start < end for other in found):
            break
        found.append(_make_highlight(document, start, end, matches))
        seen |= {match.term for match in matches if start <= match.start and match.end <= end}
    if not found:
        start, end = _place_passage(document, 0, 0, length)
        found = [_make_highlight(document, start, end, [])] if start < end else []
    return sorted(found, key=lambda highlight: highlight.start)


def _choose_length(document: str) -> int:
    sample = document[:_DENSE_SAMPLE]
    return SNIPPET_CHARACTERS // (2 if 2 * len(_DENSE.findall(sample)) > len(sample) else 1)


def _find_window(matches: Sequence[Match], seen: set[str], length: int) -> tuple[int, int] | None:
    """Returns start and end of the best stretch of `length` characters: it has the most different new words.

    Of several, that with the words closer together, and else the first: the closer they are, the more of their sentence
    fits. Both ends only move forward, so that the time is linear in the number of matches.
    """
    new = [match for match in matches if match.term not in seen]
    counts: dict[str, int] = {}
    best, best_score = None, (0, 0)
    first = 0
    for match in new:
        counts[match.term] = counts.get(match.term, 0) + 1
        while match.end - new[first].start > length or counts[new[first].term] > 1:
            counts[new[first].term] -= 1
            if not counts[new[first].term]:
                del counts[new[first].term]
            first += 1
        score = (len(counts), -((match.end - new[first].start) // _CLOSE))
        if score > best_score:
            best, best_score = (new[first].start, match.end), score
    return best


def _place_passage(document: str, first: int, last: int, length: int) -> tuple[int, int]:
    """Returns start and end of a passage around the characters from `first` to `last`."""
    earliest = max(last - length, 0)
    start = _find_start(document, earliest, first)
    end = _find_end(document, max(last, start), start + length)
    if end == len(document):  # there is room for more of what is before
        start = _find_start(document, max(end - length, 0), first, is_widest=True)
    while start < end and document[start].isspace():
        start += 1
    while end > start and document[end - 1].isspace():
        end -= 1
    return start, end


def _find_start(document: str, earliest: int, first: int, *, is_widest: bool = False) -> int:
    """Returns where a passage begins: at the sentence of `first`, or the first one if widest; else between words."""
    if earliest == 0:
        return 0
    before = document[earliest:first]
    sentences = [match.end() for match in _SENTENCE_END.finditer(before)]
    if sentences:
        return earliest + sentences[0 if is_widest else -1]
    middle = 0 if is_widest else len(before) // 2
    word = _SPACE.search(before, middle)
    return min(earliest + word.end() if word is not None else _skip_joined(document, earliest + middle), first)


def _find_end(document: str, last: int, latest: int) -> int:
    """Returns where a passage ends: at a sentence if that is not too early, else at a word, at most at `latest`."""
    if latest >= len(document):
        return len(document)
    after = document[last:latest]
    ends = [match.end() for match in _SENTENCE_END.finditer(after)]
    if ends and ends[-1] >= len(after) // 2:
        return last + ends[-1]
    if document[latest].isspace():
        return latest
    spaces = [match.start() for match in _SPACE.finditer(after)]
    if spaces and spaces[-1] >= len(after) // 2:
        return last + spaces[-1]
    return _skip_joined(document, latest)


def _skip_joined(document: str, place: int) -> int:
    """Moves a place behind accents and joiners, which belong to the character before."""
    for _ in range(_MAX_JOINED):
        if place == len(document) or not (unicodedata.combining(document[place]) or document[place] in _JOINERS):
            break
        place += 1
    return place


def _make_highlight(document: str, start: int, end: int, matches: Sequence[Match]) -> Highlight:
    marks: list[tuple[int, int]] = []
    for match in matches:
        if match.start < start or match.end > end:
            continue
        place = (match.start - start, match.end - start)
        if marks and place[0] <= marks[-1][1]:  # two characters of Chinese, and the next two
            marks[-1] = (marks[-1][0], max(place[1], marks[-1][1]))
        else:
            marks.append(place)
    return Highlight(document[start:end], start, marks)
