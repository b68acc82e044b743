"""Classes of characters for graphs (RE2), spelled out, so that no Unicode table of a server counts.

RE2 differs from the engine of Hugging Face's tokenizers (Oniguruma) in its classes (`\\s` is ASCII) and in Unicode's
version, which also differs between releases of TensorFlow Serving. So what a class contains is read off the installed
`tokenizers`.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

SURROGATES = r"\x{D800}-\x{DFFF}"  # for a class; a graph's markers are surrogates, which RE2 finds and no text has
_CHUNK = 4096  # a probe's cost per character grows with the length of the text

# Planes without assigned characters: what is true of the first is true of all but the last two, which are probed.
_PLANES = tuple(range(start, start + 0xFFFE) for start in (*range(0x40000, 0xE0000, 0x10000), 0xF0000, 0x100000))
_PROBED = (
    *(range(0xD800), range(0xE000, 0x40000), range(0xE0000, 0xF0000)),
    *(range(plane.stop, plane.stop + 2) for plane in _PLANES),
    *(plane[:1] for plane in _PLANES),
)


@functools.cache
def find_class(atom: str) -> frozenset[int]:
    r"""Returns the code points that a regular expression for one character matches in the installed `tokenizers`.

    Args:
        atom: Such as `\s`, `\p{L}` or `[^\s\p{L}]`.
    """
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(f"(?:{atom})+"), "removed")
    found: set[int] = set()
    for chunk in probe_chunks():
        matched = set(chunk)
        for _, (begin, end) in split.pre_tokenize_str("".join(map(chr, chunk))):
            matched.difference_update(chunk[begin:end])
        found |= matched
    return with_planes(found)


def find_isolated(pre_tokenizer: Any) -> frozenset[int]:
    """Returns the code points that a pre-tokenizer of `tokenizers` makes words of their own."""
    found: set[int] = set()
    for chunk in probe_chunks():
        words = pre_tokenizer.pre_tokenize_str("x" + "x".join(map(chr, chunk)) + "x")
        found.update(ord(word) for word, _ in words if len(word) == 1 and word != "x")
    return with_planes(found)


def probe_chunks() -> Iterator[list[int]]:
    """Yields the code points to try, some at a time; the others are as those of `with_planes` are."""
    probed = list(itertools.chain.from_iterable(_PROBED))
    for start in range(0, len(probed), _CHUNK):
        yield probed[start : start + _CHUNK]


def with_planes(found: set[int]) -> frozenset[int]:
    """Returns the code points found among those of `probe_chunks`, and those for which these stand."""
    return frozenset(found.union(*(plane for plane in _PLANES if plane.start in found)))


@functools.cache
def find_cases(letter: str) -> frozenset[int]:
    """Returns the code points that the installed `tokenizers` takes for an ASCII letter where case does not matter."""
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(f"(?i:{letter})"), "removed")
    return frozenset(code for code in find_class("(?i:[a-z])") if not split.pre_tokenize_str(chr(code)))


@functools.lru_cache(maxsize=64)
def to_class(code_points: frozenset[int]) -> str:
    """Returns an RE2 class of these code points, at least one.

    Example:
        >>> to_class(frozenset(map(ord, "abcx")))
        '[a-cx]'
    """
    ordered = np.fromiter(code_points, np.int64, len(code_points))
    ordered.sort()
    starts = np.flatnonzero(np.diff(ordered, prepend=-2) > 1)
    lasts = ordered[np.append(starts[1:], len(ordered)) - 1]
    return "[" + "".join(map(_write_range, ordered[starts].tolist(), lasts.tolist())) + "]"


def escape(text: str) -> str:
    """Returns a regular expression (RE2) that finds exactly this text."""
    return "".join(c if c.isalnum() and c.isascii() else rf"\x{{{ord(c):X}}}" for c in text)


def _write_range(low: int, high: int) -> str:
    first, last = escape(chr(low)), escape(chr(high))
    return first if low == high else f"{first}-{last}"
