"""Offsets of pages, kept right while a text is changed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tfchain.core.types import Document

PAGE_STARTS = "page_starts"


def change_document_text(document: Document, change: Callable[[str], str]) -> Document:
    """Returns a document with its text changed; the document itself if the text stays.

    If the metadata has `page_starts` (where in the text each page begins, as readers of PDF give it), the text is
    changed page by page, and `page_starts` are those of the new text.

    Args:
        document: The document.
        change: Takes a text, or a page of it, and returns the new one. What is left may be white space only if the
            document has a title.
    """
    starts = page_starts_of(document)
    if not starts:
        text = change(document.text)
        return document if text == document.text else replace(document, text=text)
    text, new_starts = change_pages(document.text, starts, change)
    if text == document.text:
        return document
    return replace(document, text=text, metadata={**document.metadata, PAGE_STARTS: new_starts})


def with_page_starts(document: Any, starts: Sequence[int]) -> Any:
    """Returns a document whose text was changed page by page with where its pages begin; as it is if it has none."""
    if not starts:
        return document
    within = [min(start, len(document.text)) for start in starts]
    return replace(document, metadata={**document.metadata, PAGE_STARTS: within})


def change_pages(text: str, starts: Sequence[int], change: Callable[[str], str]) -> tuple[str, list[int]]:
    """Returns a text changed page by page, and where its pages begin.

    Example:
        >>> change_pages("one  two", [0, 5], str.strip)
        ('onetwo', [0, 3])
    """
    parts, new_starts = [change(text[: starts[0]]) if starts[0] else ""], []
    length = len(parts[0])
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        new_starts.append(length)
        parts.append(change(text[start:end]) if start < end else "")
        length += len(parts[-1])
    return "".join(parts), new_starts


def page_starts_of(document: Document) -> list[int]:
    """Returns where a document's pages begin; nothing if it has none, or what it has are not ascending offsets."""
    starts: Any = document.metadata.get(PAGE_STARTS)
    if not isinstance(starts, list | tuple) or not all(isinstance(start, int) for start in starts):
        return []
    bounds = [0, *starts, len(document.text)]
    return list(starts) if bounds == sorted(bounds) else []
