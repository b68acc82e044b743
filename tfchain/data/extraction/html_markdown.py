"""All text of an HTML tree as Markdown: of a book's chapters, and of pages in which no main text is found."""

import re
from collections.abc import Iterator, Set
from typing import Any

from tfchain.data.extraction.extracted import to_table

SKIPPED = {"script", "style", "noscript", "template", "svg", "math", "iframe", "object", "head", "form"}
BOILERPLATE = {"nav", "footer", "aside"}
HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
LISTS = {"ul", "ol", "menu"}
INLINE = {
    *("a", "abbr", "b", "bdi", "bdo", "big", "br", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img"),
    *("ins", "kbd", "label", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strong", "sub", "sup"),
    *("time", "tt", "u", "var", "wbr"),
}
SPACE = re.compile(r"\s+")
MOST_LEVELS = 200


def to_markdown(root: Any) -> list[str]:
    """Returns the blocks of an lxml tree: headings, paragraphs, lists, tables and code.

    Args:
        root: An element of `lxml.html`.
    """
    blocks: list[str] = []
    add_blocks(root, blocks, 0)
    return [block for block in blocks if block.strip()]


def add_blocks(element: Any, blocks: list[str], level: int) -> None:
    """Adds the blocks of an element's content."""
    inline = [plain(element.text)]
    for child in element:
        tag = name_of(child)
        if tag == "br":
            inline.append("\n")
        elif tag in INLINE and not has_block(child):
            inline.append(inline_text(child, level))
        elif tag and tag not in SKIPPED | BOILERPLATE:
            blocks.append(tidy("".join(inline)))
            inline = []
            add_block(child, tag, blocks, level + 1)
        inline.append(plain(child.tail))
    blocks.append(tidy("".join(inline)))


def add_block(element: Any, tag: str, blocks: list[str], level: int) -> None:
    """Adds what a block element is in Markdown."""
    if level > MOST_LEVELS:
        blocks.append(tidy("".join(element.itertext())))
    elif tag in HEADINGS:
        if text := SPACE.sub(" ", inline_text(element, level)).strip():
            blocks.append(f"{'#' * HEADINGS[tag]} {text}")
    elif tag in LISTS:
        blocks.append("\n".join(list_lines(element, tag, 0, level)))
    elif tag == "table":
        rows = [row for row in element.iter("tr") if next(row.iterancestors("table"), None) is element]
        blocks.append(
            to_table([[inline_text(cell, level) for cell in row if name_of(cell) in ("td", "th")] for row in rows])
        )
    elif tag == "pre":
        blocks.append("```\n" + "".join(element.itertext()).strip("\n") + "\n```")
    elif tag == "blockquote":
        quoted: list[str] = []
        add_blocks(element, quoted, level)
        blocks.append("\n>\n".join("> " + block.replace("\n", "\n> ") for block in quoted if block))
    else:
        add_blocks(element, blocks, level)


def list_lines(element: Any, tag: str, indent: int, level: int) -> list[str]:
    """Returns the lines of a list, with the lists in it."""
    if level > MOST_LEVELS:
        return [plain("".join(element.itertext()))]
    lines: list[str] = []
    number = 0
    for item in element:
        if name_of(item) in LISTS:
            lines += list_lines(item, name_of(item), indent + 2, level + 1)
        if name_of(item) != "li":
            continue
        number += 1
        text = SPACE.sub(" ", inline_text(item, level, skipped=SKIPPED | LISTS)).strip()
        lines.append(f"{' ' * indent}{f'{number}.' if tag == 'ol' else '-'} {text}".rstrip())
        for inner in lists_in(item, level):
            lines += list_lines(inner, name_of(inner), indent + 2, level + 1)
    return lines


def lists_in(element: Any, level: int) -> Iterator[Any]:
    """Yields the lists in an element that are in no other list."""
    for child in element:
        if name_of(child) in LISTS:
            yield child
        elif level < MOST_LEVELS:
            yield from lists_in(child, level + 1)


def inline_text(element: Any, level: int, skipped: Set[str] = frozenset(SKIPPED)) -> str:
    """Returns the text of an element without the elements in `skipped`; lines end only at `<br>`."""
    if level > MOST_LEVELS:
        return plain("".join(element.itertext()))
    parts = [plain(element.text)]
    for child in element:
        tag = name_of(child)
        between = "" if tag in INLINE else " "
        if tag == "br":
            parts.append("\n")
        elif tag:
            parts += [between, "" if tag in skipped else inline_text(child, level + 1, skipped), between]
        parts.append(plain(child.tail))
    text = "".join(parts)
    return f"`{text}`" if name_of(element) == "code" and text.strip() and "`" not in text else text


def plain(text: str | None) -> str:
    """Returns text with each run of white space as one space."""
    return SPACE.sub(" ", text or "")


def has_block(element: Any) -> bool:
    """Returns whether an inline element has a block in it, as invalid pages do."""
    return any(name_of(child) and name_of(child) not in INLINE | SKIPPED for child in element.iterdescendants())


def name_of(element: Any) -> str:
    """Returns an element's tag without its namespace; `""` for comments."""
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def tidy(text: str) -> str:
    """Returns text without spaces at the ends of its lines, and without empty lines."""
    lines = (SPACE.sub(" ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
