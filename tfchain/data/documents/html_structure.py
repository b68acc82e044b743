"""The structure of a text in HTML: its headings, paragraphs, lists, tables and code, with their offsets."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Literal

HtmlBlock = tuple[Literal["heading", "paragraph", "list", "table", "code"], int, int, int, str]

BEGINS = re.compile(
    r"\s*<(?:!doctype|html|head|body|main|article|section|div|header|h[1-6]|p|ul|ol|table)\b", re.IGNORECASE
)
BLOCK_TAG = re.compile(
    r"<(/?)(h[1-6]|table|pre|ul|ol|p|div|section|article|main|header|footer|blockquote|dl|figure|hr|body|head)\b"
    r"[^<>]{0,2000}>",
    re.IGNORECASE,
)
TAG = re.compile(r"<[^<>]*>")
WHOLE = {"table": "table", "pre": "code", "ul": "list", "ol": "list"}


def is_html(text: str) -> bool:
    """Returns whether a text begins with one of HTML's block elements."""
    return BEGINS.match(text) is not None


def find_html_blocks(text: str) -> Iterator[HtmlBlock]:
    """Yields kind, start, end, level and words of each block, in order.

    Lists, tables and `pre` are kept with all that is inside them; whatever else stands between two block elements is a
    paragraph. Nothing is parsed beyond the tags' names, in one pass, so broken HTML takes no more time than good.

    Args:
        text: The HTML.
    """
    start = 0  # of the paragraph so far
    whole = ""  # the element being skipped to its end
    depth = 0
    for match in BLOCK_TAG.finditer(text):
        closes, name = bool(match[1]), match[2].lower()
        if whole:
            if name == whole:
                depth += -1 if closes else 1
            if depth == 0:
                yield from make_block(text, start, match.end(), whole)
                start, whole = match.end(), ""
            continue
        if name in WHOLE or (name[0] == "h" and name[1:].isdecimal()):
            if closes:
                continue
            yield from make_block(text, start, match.start(), "p")
            start, whole, depth = match.start(), name, 1
        else:
            border = match.end() if closes else match.start()
            yield from make_block(text, start, border, "p")
            start = border
    yield from make_block(text, start, len(text), whole or "p")


def make_block(text: str, start: int, end: int, name: str) -> Iterator[HtmlBlock]:
    """Yields a block if words stand in it."""
    part = text[start:end]
    words = " ".join(unescape(TAG.sub(" ", part)).split())
    if not words:
        return
    first = start + len(part) - len(part.lstrip())
    last = start + len(part.rstrip())
    if name[0] == "h":
        yield "heading", first, last, int(name[1]), words
    else:
        yield WHOLE.get(name, "paragraph"), first, last, 0, words  # type: ignore[misc]
