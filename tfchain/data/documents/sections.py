"""Cuts a text along its structure: a section, else its blocks, else their sentences, with the path of headings."""

import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tfchain.data.documents.structure import Block, Section
from tfchain.data.documents.text_units import Units

SMALL_SHARE = 0.25  # of the budget: sections below it share a passage with the sections after them

Pack = Callable[[Units, int], Iterator[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text to be a passage.

    Args:
        start: Offset of its first character.
        end: Offset after its last character.
        path: The headings put before it.
        heading: Offset of its heading, if the part is a whole section with the heading left out; else `start`.
    """

    start: int
    end: int
    path: tuple[str, ...]
    heading: int


@dataclass(frozen=True)
class SectionCutter:
    """Cuts one text into parts within a budget.

    Args:
        text: The text.
        units: Its units.
        budget: The number of tokens of each part, with the headings before it.
        count_path: Returns the tokens of the headings put before a part.
        is_shown: Returns whether a path's last heading stands before its parts; one that is too long stays in the text.
        pack: Cuts units into spans of at most a number of tokens.
    """

    text: str
    units: Units
    budget: int
    count_path: Callable[[tuple[str, ...]], int]
    is_shown: Callable[[tuple[str, ...]], bool]
    pack: Pack

    def cut(self, section: Section) -> list[Part]:
        """Returns a section's parts, in order.

        A section that fits with all its subsections is one part. Otherwise its own blocks are parts, as many together
        as fit, and each subsection is cut by itself. Subsections of less than a quarter of the budget share a part with
        the next, under the path of the section around them.
        """
        content = section.content if self.is_shown(section.path) else section.start
        if self.fits(content, section.end, section.path):
            if not self.text[content : section.end].strip():
                return [Part(section.start, section.content, section.path[:-1], section.start)]
            return [Part(content, section.end, section.path, section.start)]
        parts = self.cut_blocks(section)
        own = len(parts)
        for child in section.children:
            made = self.cut(child)
            if len(made) == 1 and len(parts) > own:
                joined = self.join(parts[-1], made[0], section.path)
                if joined:
                    parts[-1] = joined
                    continue
            parts += made
        return parts

    def cut_blocks(self, section: Section) -> list[Part]:
        """Returns parts of a section's own blocks, each block whole if it fits."""
        room = self.room(section.path)
        spans: list[tuple[int, int]] = []
        blocks = section.blocks
        if not self.is_shown(section.path) and section.start < section.content:
            blocks = [Block("heading", section.start, section.content), *blocks]
        for block in blocks:
            pieces: Sequence[tuple[int, int]] = [(block.start, block.end)]
            if self.tokens(block.start, block.end) > room:
                pieces = self.cut_block(block, room)
            for start, end in pieces:
                if spans and self.tokens(spans[-1][0], end) <= room:
                    spans[-1] = (spans[-1][0], end)
                else:
                    spans.append((start, end))
        return [Part(start, end, section.path, start) for start, end in spans]

    def cut_block(self, block: Block, room: int) -> list[tuple[int, int]]:
        """Cuts a block that does not fit at its sentences or lines."""
        first, last = self.place(block.start), self.place_after(block.end)
        bounds, totals = self.units.bounds[first : last + 1], self.units.totals[first : last + 1]
        low = bisect.bisect_left(self.units.sentence_ends, first)
        high = bisect.bisect_right(self.units.sentence_ends, last)
        ends = [place - first for place in self.units.sentence_ends[low:high]]
        spans = self.pack(Units(bounds, totals, ends, False), room)
        return [(max(start, block.start), min(end, block.end)) for start, end in spans if start < block.end]

    def join(self, before: Part, after: Part, path: tuple[str, ...]) -> Part | None:
        """Returns two whole sections as one part, their headings in its text; None if the first is not small."""
        whole = before.heading != before.start and before.path[:-1] == path
        if not whole and before.path != path:
            return None  # the last part of a section that was cut
        small = self.tokens(before.heading, before.end) <= self.budget * SMALL_SHARE
        if not small or not self.fits(before.heading, after.end, path):
            return None
        return Part(before.heading, after.end, path, before.heading)

    def fits(self, start: int, end: int, path: tuple[str, ...]) -> bool:
        """Returns whether a span fits under a path of headings."""
        return self.tokens(start, end) <= self.room(path)

    def room(self, path: tuple[str, ...]) -> int:
        """Returns the tokens left for the text under a path of headings."""
        return max(1, self.budget - self.count_path(path))

    def tokens(self, start: int, end: int) -> int:
        """Returns the tokens of the units that a span touches."""
        totals = self.units.totals
        return totals[self.place_after(end)] - totals[self.place(start)]

    def place(self, offset: int) -> int:
        """Returns the unit that an offset lies in."""
        return min(bisect.bisect_right(self.units.bounds, offset), len(self.units.bounds) - 1) - 1

    def place_after(self, offset: int) -> int:
        """Returns the first bound at or after an offset."""
        return min(bisect.bisect_left(self.units.bounds, offset), len(self.units.bounds) - 1)
