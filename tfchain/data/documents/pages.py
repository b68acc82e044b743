"""The page of a place in a document that came from a PDF."""

from bisect import bisect_right

from tfchain.core.types import Document


def find_page(document: Document, offset: int) -> int | None:
    """Returns the number of the page, from 1, that an offset in a document's text lies on.

    Args:
        document: Its metadata's `page_starts` are the offsets where each page begins, ascending, the first 0.
        offset: An offset in the text, such as a passage's `start`.

    Returns:
        The number; None if the document has no pages.
    """
    starts = document.metadata.get("page_starts")
    if not isinstance(starts, list | tuple) or not starts:
        return None
    return max(1, bisect_right(starts, offset))
