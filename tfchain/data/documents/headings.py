"""The headings put before passages: how a path of them is written, counted and shortened."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tfchain.data.documents.structure import Section, walk_sections

SEPARATOR = " > "


@dataclass(frozen=True)
class Heads:
    """The headings that stand before a document's passages.

    Args:
        title: The document's title; a first heading that repeats it is left out.
        most: The maximum number of tokens; outer headings are left out of a longer path.
        counted: The tokens of each path.
    """

    title: str
    most: int
    counted: Mapping[str, int]

    def shorten(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the headings to put before a passage."""
        if path and self.is_title(path[0]):
            path = path[1:]
        while path and self.counted[heading_line(path)] > self.most:
            path = path[1:]
        return path

    def count(self, path: tuple[str, ...]) -> int:
        """Returns the tokens of the headings before a passage."""
        kept = self.shorten(path)
        return self.counted[heading_line(kept)] if kept else 0

    def is_shown(self, path: tuple[str, ...]) -> bool:
        """Returns whether a path's last heading stands before its passages."""
        return bool(self.shorten(path)) or (len(path) == 1 and self.is_title(path[0]))

    def is_title(self, heading: str) -> bool:
        """Returns whether a heading repeats the title."""
        return heading.strip().casefold() == self.title.strip().casefold()


def shorter_paths(root: Section) -> Iterator[tuple[str, ...]]:
    """Yields each path of headings, and each shorter one that leaves outer headings out."""
    for section in walk_sections(root):
        for first in range(len(section.path)):
            yield section.path[first:]


def heading_line(path: tuple[str, ...]) -> str:
    """Returns the headings as they stand before a passage; a title before it is joined in the same way."""
    return SEPARATOR + SEPARATOR.join(path)
