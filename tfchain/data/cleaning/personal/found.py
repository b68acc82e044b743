"""A place in a text where something was found, and how such places are put together."""

from collections.abc import Iterable
from typing import NamedTuple


class Found(NamedTuple):
    """A part of a text, `text[start:end]`, and what kind of thing it is."""

    start: int
    end: int
    kind: str


def without_overlaps(found: Iterable[Found]) -> list[Found]:
    """Returns places in the order of the text; of those that overlap, the one that came first in `found`."""
    kept: list[Found] = []
    for one in found:
        if all(one.end <= other.start or one.start >= other.end for other in kept):
            kept.append(one)
    return sorted(kept)


def replace_found(text: str, found: Iterable[Found]) -> str:
    """Returns a text with each place replaced by its kind in brackets, such as `[EMAIL]`."""
    parts, position = [], 0
    for start, end, kind in found:
        parts += [text[position:start], f"[{kind.upper()}]"]
        position = end
    return "".join((*parts, text[position:]))
