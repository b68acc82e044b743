"""The step that removes what is left of HTML in texts."""

import html
import re
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from tfchain.data.steps.step import TextStep

# Elements by their names, so that `List<T>` and `a < b` stay.
BLOCKS = (
    "address article aside blockquote body br caption center dd div dl dt fieldset figcaption figure footer form h1 h2 "
    "h3 h4 h5 h6 head header hr html li main nav ol option p pre section table tbody td tfoot th thead title tr ul"
)
INLINE = (
    "a abbr acronym audio b big button cite code del dfn em embed font i iframe img input ins kbd label link map mark "
    "meta noscript object param path picture q s samp script select small source span strike strong style sub summary "
    "sup svg template textarea time tt u var video wbr"
)
REPLACEMENTS = {**dict.fromkeys(BLOCKS.split(), "\n"), **dict.fromkeys(INLINE.split(), "")}
TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9]{0,11})(?:\s[^<>]*)?/?>")
HIDDEN_START = re.compile(r"<(?:script|style)(?:\s[^<>]*)?>", re.IGNORECASE)
HIDDEN_END = re.compile(r"</(?:script|style)\s*>", re.IGNORECASE)
COMMENT_START, COMMENT_END = re.compile("<!--"), re.compile("-->")
DECLARATION = re.compile(r"<!doctype[^<>]*>|<\?xml[^<>]*>", re.IGNORECASE)
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
CODE = re.compile(r"(^(`{3,}|~{3,})[^\n]*\n.*?(?:^\2[^\n]*$|\Z)|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
EMPTY_LINES = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")


@dataclass(frozen=True)
class RemoveMarkup(TextStep):
    """Turns what is left of HTML in texts into text: tags, comments, scripts, styles, entities.

    For texts with single tags, such as columns of a table scraped from somewhere; the reader of `.html` files
    extracts the main text of whole pages, without navigation. Elements such as `p` and `li` become line ends, others
    nothing. Only HTML's own elements count: `List<T>` and `a < b` stay, and so does code, in Markdown's fences and
    backticks.

    Args:
        tags: Whether tags, comments, scripts and styles go. Default: yes.
        entities: Whether `&amp;`, `&#8217;` and the like become their characters. Default: yes.
    """

    name: ClassVar[str] = "remove_markup"
    tags: bool = True
    entities: bool = True

    def change(self, text: str, found: Counter[str]) -> str:
        """Returns the text without markup, and counts tags and entities apart."""
        if not (self.tags and "<" in text) and not (self.entities and "&" in text):
            return text
        if "`" not in text and "~~~" not in text:
            return self.clean(text, found)
        parts, end = [], 0
        for code in CODE.finditer(text):
            parts += [self.clean(text[end : code.start()], found), code[0]]
            end = code.end()
        return "".join((*parts, self.clean(text[end:], found)))

    def clean(self, text: str, found: Counter[str]) -> str:
        """Returns a text without code in it, cleaned."""
        if self.tags and "<" in text:
            before = text
            if "<!" in text or "<?" in text:
                text = DECLARATION.sub("", remove_between(text, COMMENT_START, COMMENT_END))
            text = remove_between(text, HIDDEN_START, HIDDEN_END)
            text = TAG.sub(replace_tag, text)
            if text != before:
                found["tags"] += 1
                text = EMPTY_LINES.sub("\n\n", text)
                text = text if before[:1].isspace() else text.lstrip()
        if self.entities and "&" in text:
            before, text = text, ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
            if text != before:
                found["entities"] += 1
        return text


def replace_tag(tag: re.Match[str]) -> str:
    """Returns what stands for a tag: a line end, nothing, or the tag itself if it is not of HTML."""
    return REPLACEMENTS.get(tag[1].lower(), tag[0])


def remove_between(text: str, start: re.Pattern[str], end: re.Pattern[str]) -> str:
    """Returns a text without what stands from each start to the next end, in one pass; a start without end stays."""
    parts, position = [], 0
    while opening := start.search(text, position):
        closing = end.search(text, opening.end())
        if closing is None:
            break
        parts.append(text[position : opening.start()])
        position = closing.end()
    return " ".join((*parts, text[position:])) if parts else text
