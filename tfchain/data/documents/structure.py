"""The structure of a Markdown or HTML text: headings, paragraphs, lists, tables and code, with their offsets."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from tfchain.data.documents.html_structure import find_html_blocks, is_html

BlockKind = Literal["heading", "paragraph", "list", "table", "code"]

ATX_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
HTML_HEADING = re.compile(r"\s{0,3}<h([1-6])\b[^<>]*>(.*)</h\1>\s*$", re.IGNORECASE)
UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
FENCE = re.compile(r"\s*(`{3,}|~{3,})")
LIST_ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,9}[.)])[ \t]+\S")
TABLE_RULE_CELL = re.compile(r":?-+:?")
CLOSING_MARKS = re.compile(r"(?:(?<=[ \t])|^)#+$")
TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a text that is best kept whole.

    Args:
        kind: What it is.
        start: Offset of its first character.
        end: Offset after its last character, white space left out.
        level: Of a heading, 1 to 6; else 0.
        text: Of a heading, its words without marks; else `""`.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    text: str = ""


@dataclass(slots=True)
class Section:
    """A heading with what stands below it; the whole text is a section without a heading.

    Args:
        path: The headings from the top of the text to this section.
        start: Offset of the heading.
        content: Offset after the heading.
        end: Offset after the section, its subsections included.
        blocks: The blocks before the first subsection.
        children: The subsections.
    """

    path: tuple[str, ...]
    start: int
    content: int
    end: int
    level: int = 0
    blocks: list[Block] = field(default_factory=list)
    children: list["Section"] = field(default_factory=list)


def find_sections(text: str) -> Section:
    """Returns a text's sections as a tree.

    Args:
        text: Markdown, HTML or plain text. HTML is a text that begins with one of its block elements.

    Example:
        >>> root = find_sections("# Guide\\n\\nHello.\\n\\n## Install\\n\\nRun it.")
        >>> root.children[0].children[0].path
        ('Guide', 'Install')
    """
    root = Section((), 0, 0, len(text))
    open_sections = [root]
    for block in find_blocks(text):
        if block.kind != "heading":
            open_sections[-1].blocks.append(block)
            continue
        while open_sections[-1].level >= block.level:
            open_sections.pop().end = block.start
        parent = open_sections[-1]
        path = (*parent.path, block.text) if block.text else parent.path
        section = Section(path, block.start, block.end, len(text), block.level)
        parent.children.append(section)
        open_sections.append(section)
    return root


def walk_sections(section: Section) -> Iterator[Section]:
    """Yields a section and all sections below it, in the order of the text."""
    yield section
    for child in section.children:
        yield from walk_sections(child)


def find_blocks(text: str) -> list[Block]:
    """Returns a text's blocks, in order; what is between them is white space."""
    if is_html(text):
        return [Block(kind, start, end, level, words) for kind, start, end, level, words in find_html_blocks(text)]
    return list(MarkdownBlocks(text))


class MarkdownBlocks:
    """Reads Markdown's blocks line by line: what CommonMark says of blocks, as far as cutting a text needs it.

    Args:
        text: The text.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: list[tuple[int, int]] = []  # without the line feed
        start = 0
        for line in text.splitlines(keepends=True):
            self.lines.append((start, start + len(line.rstrip("\r\n"))))
            start += len(line)

    def __iter__(self) -> Iterator[Block]:
        number = self.after_front_matter()
        if number:
            yield Block("code", 0, self.last_character(0, number))
        while number < len(self.lines):
            if not self.line(number).strip():
                number += 1
                continue
            heading = self.read_heading(number)
            if heading is not None:
                block, number = heading
                yield block
                continue
            kind, last = self.read_block(number)
            yield Block(kind, self.first_character(number), self.last_character(number, last))
            number = last

    def line(self, number: int) -> str:
        """Returns a line without its line feed."""
        start, end = self.lines[number]
        return self.text[start:end]

    def after_front_matter(self) -> int:
        """Returns the number of the first line after a block of settings between two lines of `---`; else 0."""
        if not self.lines or self.line(0).rstrip() != "---":
            return 0
        for number in range(1, min(len(self.lines), 200)):
            if not self.line(number).strip():
                return 0
            if self.line(number).rstrip() in ("---", "..."):
                return number + 1
        return 0

    def read_heading(self, number: int) -> tuple[Block, int] | None:
        """Returns the heading on a line, and the number of the line after it; None if there is none."""
        line = self.line(number)
        start, end = self.lines[number]
        if match := ATX_HEADING.match(line):
            words = CLOSING_MARKS.sub("", line[match.end() :].strip()).strip()
            return Block("heading", start, end, len(match[1]), words), number + 1
        if match := HTML_HEADING.match(line):
            return Block("heading", start, end, int(match[1]), TAG.sub("", match[2]).strip()), number + 1
        if number + 1 < len(self.lines) and not LIST_ITEM.match(line) and "|" not in line:
            match = UNDERLINE.match(self.line(number + 1))
            if match and line.strip().strip("-=") and not FENCE.match(line) and not line.startswith(("    ", ">")):
                level = 1 if match[1][0] == "=" else 2
                return Block("heading", start, self.lines[number + 1][1], level, line.strip()), number + 2
        return None

    def read_block(self, number: int) -> tuple[BlockKind, int]:
        """Returns the kind of the block that begins on a line, and the number of the line after it."""
        line = self.line(number)
        if FENCE.match(line):
            return "code", self.after_fence(number)
        if self.is_table(number):
            return "table", self.after(number, lambda at: "|" in self.line(at))
        if LIST_ITEM.match(line):
            return "list", self.after_list(number)
        if line.startswith(("    ", "\t")):
            return "code", self.after(number, lambda at: self.line(at).startswith(("    ", "\t")))
        return "paragraph", self.after(number, lambda at: not self.begins_block(at))

    def after_fence(self, number: int) -> int:
        """Returns the number of the line after fenced code; code that is never closed goes on to the end."""
        opened = FENCE.match(self.line(number))
        assert opened is not None
        marks = opened[1]
        for at in range(number + 1, len(self.lines)):
            line = self.line(at).strip()
            if line.startswith(marks) and not line.strip(marks[0]):
                return at + 1
        return len(self.lines)

    def is_table(self, number: int) -> bool:
        """Returns whether a table begins on a line: a row above a rule such as `| --- | --- |`, or rows of `| … |`."""
        line = self.line(number).strip()
        if "|" not in line:
            return False
        if line.startswith("|") and line.endswith("|") and len(line) > 1:
            return True
        return number + 1 < len(self.lines) and is_table_rule(self.line(number + 1))

    def after_list(self, number: int) -> int:
        """Returns the number of the line after a list; indented lines, and code in them, belong to their item."""
        at = number + 1
        while at < len(self.lines):
            line = self.line(at)
            if not line.strip():
                following = next((i for i in range(at, min(at + 3, len(self.lines))) if self.line(i).strip()), None)
                if following is None:
                    return at
                goes_on = LIST_ITEM.match(self.line(following)) or self.line(following).startswith(("  ", "\t"))
                if not goes_on:
                    return at
                at = following
            elif FENCE.match(line) and line[0] in " \t":
                at = self.after_fence(at)
            elif ATX_HEADING.match(line) or FENCE.match(line):
                return at
            else:
                at += 1
        return at

    def after(self, number: int, belongs: Callable[[int], bool]) -> int:
        """Returns the number of the first line after `number` that is blank or does not belong to the block."""
        at = number + 1
        while at < len(self.lines) and self.line(at).strip() and belongs(at):
            at += 1
        return at

    def begins_block(self, number: int) -> bool:
        """Returns whether another block than a paragraph begins on a line, which ends the paragraph before it."""
        line = self.line(number)
        return bool(
            ATX_HEADING.match(line)
            or FENCE.match(line)
            or LIST_ITEM.match(line)
            or HTML_HEADING.match(line)
            or self.is_table(number)
        )

    def first_character(self, number: int) -> int:
        """Returns the offset of a line's first character that is no white space."""
        line = self.line(number)
        return self.lines[number][0] + len(line) - len(line.lstrip())

    def last_character(self, number: int, last: int) -> int:
        """Returns the offset after the last character of lines `number` to `last - 1`, white space left out."""
        start, end = self.lines[number][0], self.lines[last - 1][1]
        return start + len(self.text[start:end].rstrip())


def is_table_rule(line: str) -> bool:
    """Returns whether a line is the rule below a table's first row, such as `| --- | :-: |`."""
    return "-" in line and all(TABLE_RULE_CELL.fullmatch(cell.strip()) for cell in line.strip().strip("|").split("|"))
