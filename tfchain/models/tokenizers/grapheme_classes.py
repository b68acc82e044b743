"""How characters join into graphemes, read off the installed `tokenizers`.

Hugging Face's `Precompiled` normalizer looks up graphemes (https://unicode.org/reports/tr29) of up to five bytes as a
whole. No function of that package says where graphemes end; but a charsmap that replaces every character by `x` shows
it: a grapheme of up to five bytes becomes one `x`, and a longer one becomes one for each character.
"""

import functools
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable
from enum import IntFlag

from tfchain.models.tokenizers.character_probe import chunks, list_probed

_SEPARATOR = "\n"
_MARK = "\u0301"  # two bytes, and joins the character before it
_CONSONANT, _LINKER = "\u0915", "\u094d"  # Devanagari's ka and virama
_PICTOGRAPH, _JOINER = "\u00a9", "\u200d"


class Joins(IntFlag):
    """What a character does at its two sides."""

    AFTER = 1  # joins the character before it: marks
    BEFORE = 2  # joins the character after it
    NEVER = 4  # joins none: control characters
    EXTEND = 8  # a mark that stands between a pictograph and a joiner
    JOINER = 16
    PICTOGRAPH = 32
    CONSONANT = 64  # of an Indic script with conjuncts
    LINKER = 128  # makes a conjunct of two consonants
    CONJUNCT = 256  # a mark that stands between them, or a linker
    LEADING = 512  # Hangul: L
    VOWEL = 1024  # V
    TRAILING = 2048  # T
    OPEN_SYLLABLE = 4096  # LV
    CLOSED_SYLLABLE = 8192  # LVT


@functools.cache
def probe_graphemes() -> dict[int, int]:
    """Returns `{code point: Joins}` for the characters that join others or never do.

    It takes a few tenths of a second, so the result is cached.
    """
    probed = [code for code in list_probed() if code not in map(ord, "\r\n")]
    joins: defaultdict[int, int] = defaultdict(int)

    def mark(codes: Iterable[int], kind: Joins) -> None:
        for code in codes:
            joins[code] |= kind

    after = _find(probed, lambda c: f"A{c}", 1)
    mark(after, Joins.AFTER)
    before = _find(probed, lambda c: f"{c}A", 1)
    mark(before, Joins.BEFORE)
    mark([*_find(probed, lambda c: f"{c}{_MARK}{_MARK}", 2), *map(ord, "\r\n")], Joins.NEVER)
    # In the rest, what is before the last character and its mark makes a grapheme of more than five bytes, which shows
    # as an `x` for each of its characters. So the number of `x` is that of characters if the last one joins it.
    bases = sorted(set(probed).difference(after, before))
    mark(_find(bases, lambda c: f"{_PICTOGRAPH}{_JOINER}{c}{_MARK}", 4), Joins.PICTOGRAPH)
    mark(_find(bases, lambda c: f"{c}{_LINKER}{_CONSONANT}{_MARK}", 4), Joins.CONSONANT)
    mark([ord(_JOINER)], Joins.JOINER)
    mark(_find(after, lambda c: f"{_PICTOGRAPH}{c}{_JOINER}{_PICTOGRAPH}{_MARK}", 5), Joins.EXTEND)
    mark(_find(after, lambda c: f"{_CONSONANT}{c}{_CONSONANT}{_MARK}", 4), Joins.LINKER)
    mark(_find(after, lambda c: f"{_CONSONANT}{c}{_LINKER}{_CONSONANT}{_MARK}", 5), Joins.CONJUNCT)
    _mark_hangul(bases, mark)
    return dict(joins)


def _mark_hangul(bases: list[int], mark: Callable[[Iterable[int], Joins], None]) -> None:
    """Marks the five kinds of characters of Hangul."""
    vowel, trailing = "\u1161", "\u11a8"
    before_vowel = set(_find(bases, lambda c: f"{c}{vowel}{_MARK}", 3))
    before_trailing = set(_find(bases, lambda c: f"{c}{trailing}{_MARK}", 3))
    after_vowel = set(_find(bases, lambda c: f"{vowel}{c}{_MARK}", 3))
    mark(before_vowel - before_trailing, Joins.LEADING)
    mark(before_vowel & before_trailing & after_vowel, Joins.VOWEL)
    mark(before_vowel & before_trailing - after_vowel, Joins.OPEN_SYLLABLE)
    mark(before_trailing - before_vowel - after_vowel, Joins.CLOSED_SYLLABLE)
    mark((before_trailing & after_vowel) - before_vowel, Joins.TRAILING)


def _find(code_points: Iterable[int], write: Callable[[str], str], graphemes: int) -> list[int]:
    """Returns the code points whose text becomes so many `x`."""
    normalize = _make_counter()
    found = []
    for characters in chunks(code_points, _SEPARATOR):
        counts = map(len, normalize(_SEPARATOR.join(map(write, characters))).split(_SEPARATOR))
        found += [ord(c) for c, count in zip(characters, counts, strict=True) if count == graphemes]
    return found


@functools.cache
def _make_counter() -> Callable[[str], str]:
    """Makes a normalizer that turns all that it looks up into `x`, except for the separator and NUL."""
    from tokenizers import normalizers

    # The root's children begin at 256, one for each byte that a text may start with. Each has a value, 0: the text "x".
    units = [0] * 1024
    units[0] = 256 << 10
    for byte in range(1, 256):
        if byte != ord(_SEPARATOR):
            units[256 ^ byte] = 512 << 10 | 1 << 8 | byte
    blob = struct.pack("<I1024I", 4096, *units) + b"x\0"
    normalize: Callable[[str], str] = normalizers.Precompiled(blob).normalize_str
    return normalize
