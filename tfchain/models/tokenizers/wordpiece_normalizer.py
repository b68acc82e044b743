"""Hugging Face's BertNormalizer and BertPreTokenizer as tables of characters that a graph can gather from.

Both work on one character at a time: the result for `É` does not depend on its neighbours. So one table, from code
point to text, holds all their steps. It is generated from the installed `tokenizers` package, so that it agrees with
it, and does not depend on the Unicode version of the machine that serves.

A character that is in no vocabulary entry makes its word unknown, whichever character it is. So all such characters
share a stand-in, and the table stays small.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.character_probe import (
    AREAS,
    BLOCK,
    NUM_CODE_POINTS,
    SEPARATOR,
    SURROGATES,
    chunks,
    probe_normalizer,
    with_separators,
)


@dataclass(frozen=True, slots=True)
class NormalizerRules:
    """The options of `BertNormalizer`.

    Args:
        lowercase: Whether to lower-case. Default True.
        strip_accents: Whether to decompose (NFD) and drop non-spacing marks; None does what `lowercase` says.
        split_chinese: Whether each Chinese character is a word. Default True.
        clean_text: Whether to drop control characters and turn white space into spaces. Default True.
    """

    lowercase: bool = True
    strip_accents: bool | None = None
    split_chinese: bool = True
    clean_text: bool = True

    @property
    def strips_accents(self) -> bool:
        """`strip_accents` with None resolved."""
        return self.lowercase if self.strip_accents is None else self.strip_accents

    def make_normalizer(self) -> Callable[[str], str]:
        """Returns the function with which `tokenizers` normalises a text."""
        from tokenizers import normalizers

        normalizer = normalizers.BertNormalizer(
            clean_text=self.clean_text,
            handle_chinese_chars=self.split_chinese,
            strip_accents=self.strip_accents,
            lowercase=self.lowercase,
        )
        return normalizer.normalize_str


@dataclass(frozen=True, slots=True)
class StandIns:
    """Code points that the graph uses for its own purposes; none of them is in the vocabulary.

    Args:
        unknown: For a character that is in no entry.
        unknown_alone: For a character that is in no entry and is a word by itself.
        markers: For special tokens: each is a word by itself that the tables do not change.
    """

    unknown: int
    unknown_alone: int
    markers: range


@dataclass(frozen=True, slots=True)
class CharacterTable:
    """A map from code point to text: row `cells[pages[code_point // 256] + code_point % 256]` of `texts`.

    Args:
        pages: int32 `(0x1100,)`: the start in `cells` of each block of 256 code points. Equal blocks are shared.
        cells: int32: a row of `texts` for each code point.
        texts: The replacements of code points; they may be empty.
        num_alone: The number of first rows that are words by themselves (white space is an empty word); the characters
            of the other rows form words together with their neighbours.
    """

    pages: npt.NDArray[np.int32]
    cells: npt.NDArray[np.int32]
    texts: tuple[str, ...]
    num_alone: int


@dataclass(frozen=True, slots=True)
class Characters:
    """The characters that do not simply become part of an unknown word, as most do.

    Args:
        normalized: `{code point: text}` for the code points that normalising changes.
        alone: Code points that are words by themselves (punctuation).
        spaces: Code points that separate words.
        areas: Ranges of code points that normalising changes in the same way, each with the result for the first.
    """

    normalized: Mapping[int, str]
    alone: frozenset[int]
    spaces: frozenset[int]
    areas: tuple[tuple[range, str], ...]

    def without_normalizing(self) -> "Characters":
        """Returns the characters for texts that are normalised already."""
        return Characters({}, self.alone, self.spaces, ())


@functools.lru_cache(maxsize=4)
def probe_characters(rules: NormalizerRules) -> Characters:
    """Finds out what the installed `BertNormalizer` and `BertPreTokenizer` of `tokenizers` do to each character.

    It takes a few tenths of a second, so the result is cached.
    """
    normalize = rules.make_normalizer()
    ends = [code_point for area in AREAS for code_point in (area[0], area[-1])]
    at_ends = probe_normalizer(normalize, ends)
    probed = set(range(NUM_CODE_POINTS)) - set(SURROGATES)
    areas = []
    for area in AREAS:
        first, last = (at_ends.get(c, chr(c)).replace(chr(c), "?") for c in (area[0], area[-1]))
        if first == last and first in ("", "?", " ? "):
            probed.difference_update(area)
            if first != "?":
                areas.append((area, at_ends[area[0]]))
    alone, spaces = _probe_pre_tokenizer(sorted(probed))
    return Characters(probe_normalizer(normalize, sorted(probed)), alone, spaces, tuple(areas))


def make_word_table(characters: Characters, kept: set[int], stand_ins: StandIns) -> CharacterTable:
    """Makes the table that splits texts into words.

    Args:
        characters: From `probe_characters`; `without_normalizing` if the texts are normalised already.
        kept: The vocabulary's characters; all others become `stand_ins.unknown`.
        stand_ins: The code points used for other purposes.
    """
    unknown = chr(stand_ins.unknown)
    separate = characters.alone | characters.spaces
    replacements = _Replacements(unknown, kept)
    replacements.update(dict.fromkeys(characters.spaces, ""))

    def to_word(code_point: int, text: str) -> tuple[bool, str]:
        word = text.translate(replacements)
        is_alone = not separate.isdisjoint(map(ord, text))
        if is_alone and len(word) > 1:
            raise InputError(
                f"A character must turn into one word or into a part of one. Received: U+{code_point:04X} -> {text!r}, "
                "by the installed `tokenizers`. Tokenize on the host instead."
            )
        return is_alone, word

    rows = {code_point: to_word(code_point, text) for code_point, text in _texts(characters, kept)}
    if not characters.normalized:
        rows[stand_ins.unknown_alone] = (True, unknown)
    rows.update((marker, (True, chr(marker))) for marker in stand_ins.markers)
    areas = [(area, to_word(area[0], text.replace(chr(area[0]), unknown))) for area, text in characters.areas]
    return _pack(rows, [(range(NUM_CODE_POINTS), (False, unknown)), *areas])


def make_text_table(characters: Characters, kept: set[int], stand_ins: StandIns) -> CharacterTable:
    """Makes the table that normalises texts without splitting them into words; arguments as in `make_word_table`.

    It is for tokenizers with added tokens that are looked for in the normalised text.
    """
    unknown = chr(stand_ins.unknown)
    replacements = _Replacements(unknown, ())
    replacements.update(dict.fromkeys(characters.alone, chr(stand_ins.unknown_alone)))
    replacements.update(dict.fromkeys(characters.spaces, " "))
    replacements.update((code_point, chr(code_point)) for code_point in kept)
    rows = {code_point: (False, text.translate(replacements)) for code_point, text in _texts(characters, kept)}
    rows.update((marker, (False, chr(marker))) for marker in stand_ins.markers)
    areas = [(area, (False, text.replace(chr(area[0]), unknown))) for area, text in characters.areas]
    return _pack(rows, [(range(NUM_CODE_POINTS), (False, unknown)), *areas])


def _probe_pre_tokenizer(code_points: Sequence[int]) -> tuple[frozenset[int], frozenset[int]]:
    """Returns the code points that are words by themselves, and those that separate words."""
    from tokenizers import pre_tokenizers

    pre_tokenize = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    alone: set[int] = set()
    spaces: set[int] = set()
    for chunk in chunks(code_points):
        text = with_separators(chunk)
        last = 0
        for piece, (start, end) in pre_tokenize(text):
            spaces.update(map(ord, text[last:start]))
            if len(piece) == 1 and piece != SEPARATOR:
                alone.add(ord(piece))
            last = end
    return frozenset(alone), frozenset(spaces)


def _texts(characters: Characters, kept: set[int]) -> Iterator[tuple[int, str]]:
    """Yields the code points that may differ from those around them, normalised; a later pair replaces an earlier."""
    yield from ((code_point, chr(code_point)) for code_point in kept | characters.alone | characters.spaces)
    yield from characters.normalized.items()
    for area, first in characters.areas:
        yield from ((code, first.replace(chr(area[0]), chr(code))) for code in area if code in kept)


class _Replacements(dict[int, str]):
    """A table for `str.translate` that keeps some characters and replaces all others by the same text."""

    def __init__(self, default: str, kept: Iterable[int]) -> None:
        super().__init__((code_point, chr(code_point)) for code_point in kept)
        self._default = default

    def __missing__(self, code_point: int) -> str:
        return self._default


def _pack(rows: Mapping[int, tuple[bool, str]], areas: list[tuple[range, tuple[bool, str]]]) -> CharacterTable:
    """Numbers the distinct rows, words by themselves first, and shares equal blocks of code points.

    Args:
        rows: `(is_alone, text)` of single code points; they override the areas.
        areas: `(is_alone, text)` of ranges; each overrides those before it.
    """
    distinct = sorted({*rows.values(), *(row for _, row in areas)}, key=lambda row: (not row[0], row[1]))
    number = {row: index for index, row in enumerate(distinct)}
    cells = np.empty(NUM_CODE_POINTS, np.int32)
    for area, row in areas:
        cells[area.start : area.stop] = number[row]
    cells[list(rows)] = [number[row] for row in rows.values()]
    blocks: dict[bytes, int] = {}
    pages = [blocks.setdefault(block.tobytes(), len(blocks)) * BLOCK for block in cells.reshape(-1, BLOCK)]
    return CharacterTable(
        pages=np.array(pages, np.int32),
        cells=np.frombuffer(b"".join(blocks), np.int32),
        texts=tuple(text for _, text in distinct),
        num_alone=sum(is_alone for is_alone, _ in distinct),
    )
