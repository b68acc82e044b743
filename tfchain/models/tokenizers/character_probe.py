"""Finds out what a normalizer of the installed `tokenizers` does to each character.

Tables made this way agree with that package, and do not depend on the Unicode version of Python or of a server.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence

from tfchain.core.errors import InputError

NUM_CODE_POINTS = 0x110000
BLOCK = 256
SURROGATES = range(0xD800, 0xE000)  # not characters
SEPARATOR = "1"  # a character that BertNormalizer leaves, and that ends a run of combining marks
_CHUNK = 1000  # a probe's cost per character grows with the length of the text

# Areas of characters that are mostly of one kind (ideographs, private use, unassigned): if the first and the last of an
# area have the same result, so has the whole area. The rest of Unicode is probed character by character.
AREAS = (
    *(range(start, start + BLOCK) for start in range(0x3400, 0xA000, BLOCK)),
    *(range(start, start + BLOCK) for start in range(0x20000, 0x2FB00, BLOCK)),
    *(
        range(start, (start | 0xFFFF) - 1)
        for start in (0x2FB00, *range(0x30000, 0xE0000, 0x10000), 0xE0200, 0xF0000, 0x100000)
    ),
)


def probe_normalizer(
    normalize: Callable[[str], str], code_points: Sequence[int], separator: str = SEPARATOR
) -> dict[int, str]:
    """Returns the normalised texts of the code points that normalising changes.

    Args:
        normalize: A function that works on each character by itself.
        code_points: The code points to try.
        separator: A character that the function leaves, that no other becomes, and that ends a run of combining marks.

    Raises:
        InputError: if a character's result depends on others.
    """
    changed: dict[int, str] = {}
    for chunk in chunks(code_points, separator):
        parts = normalize(with_separators(chunk, separator)).split(separator)[1:-1]
        if len(parts) != len(chunk):
            raise InputError(
                "A normalizer of the installed `tokenizers` changes a character depending on others, which a table "
                f"cannot express. Received: {len(parts)} texts for {len(chunk)} code points. Tokenize on the host "
                "instead."
            )
        changed.update((ord(c), part) for c, part in zip(chunk, parts, strict=True) if part != c)
    return changed


def probe_all(normalize: Callable[[str], str], separator: str = SEPARATOR) -> dict[int, str]:
    """Returns the normalised texts of all characters that normalising changes; takes about 0.1 s.

    Args:
        normalize: A function that works on each character by itself, and changes an area of `AREAS` as a whole only by
            dropping it.
        separator: As in `probe_normalizer`.
    """
    ends = [code_point for area in AREAS for code_point in (area[0], area[-1])]
    at_ends = probe_normalizer(normalize, ends, separator)
    changed: dict[int, str] = {}
    probed = [*list_probed()]
    for area in AREAS:
        first, last = (at_ends.get(code_point, chr(code_point)) for code_point in (area[0], area[-1]))
        if first == last == "":
            changed.update(dict.fromkeys(area, ""))
        elif (first, last) != (chr(area[0]), chr(area[-1])):
            probed.extend(area)
    changed.update(probe_normalizer(normalize, probed, separator))
    return changed


@functools.cache
def list_probed() -> tuple[int, ...]:
    """Returns the code points outside `AREAS`: those of which neighbours differ."""
    return tuple(sorted(set(range(NUM_CODE_POINTS)).difference(SURROGATES, *AREAS)))


def chunks(code_points: Iterable[int], separator: str = SEPARATOR) -> Iterator[list[str]]:
    """Yields the characters, a thousand at a time, without the separator."""
    characters = [chr(code_point) for code_point in code_points if chr(code_point) != separator]
    for start in range(0, len(characters), _CHUNK):
        yield characters[start : start + _CHUNK]


def with_separators(characters: list[str], separator: str = SEPARATOR) -> str:
    """Returns the characters with a separator before, between and after them."""
    return separator + separator.join(characters) + separator
