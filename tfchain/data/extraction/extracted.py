"""What an extractor returns, and the tables it writes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tfchain.core.errors import InputError
from tfchain.data.files.limits import ReadLimits

ENDINGS = (".html", ".htm", ".xhtml", ".pdf", ".docx", ".pptx", ".xlsx", ".epub")


@dataclass(frozen=True)
class Extracted:
    """The text of a file, as Markdown.

    Args:
        text: The text.
        title: The document's title; `""` if it has none. Default: `""`.
        page_starts: Offsets in `text` where each page or slide begins, ascending, the first 0. Default: no pages.
    """

    text: str
    title: str = ""
    page_starts: list[int] = field(default_factory=list)


class TextBuilder:
    """Joins blocks of Markdown with an empty line between them, and ends when there are too many characters.

    Args:
        limits: The limits.
    """

    def __init__(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._parts: list[str] = []
        self._page_starts: list[int] = []
        self._length = 0

    def add(self, block: str, between: str = "\n\n") -> None:
        """Adds a block; one without text adds nothing."""
        block = block.strip("\n").rstrip()
        if not block.strip():
            return
        if self._parts:
            self._parts.append(between)
            self._length += len(between)
        self._parts.append(block)
        self._length += len(block)
        if self._length > self._limits.characters:
            raise InputError(
                f"more than {self._limits.characters:,} characters of text. Expected fewer. Cut the file up, or raise "
                "`characters` of the limits."
            )

    def begin_page(self) -> None:
        """Says that what is added next begins a page."""
        if len(self._page_starts) == self._limits.pages:
            raise InputError(
                f"more than {self._limits.pages:,} pages. Expected fewer. Cut the file up, or raise `pages` of the "
                "limits."
            )
        self._page_starts.append(self._length + (2 if self._parts else 0))

    def build(self, title: str = "") -> Extracted:
        """Returns the whole text; an empty page begins where the next one does."""
        text = "".join(self._parts)
        return Extracted(text, " ".join(title.split()), [min(start, len(text)) for start in self._page_starts])


def to_table(rows: Sequence[Sequence[str]]) -> str:
    """Writes rows of cells as a Markdown table whose first row names the columns.

    Example:
        >>> print(to_table([["a", "b"], ["1", "2|3"]]))
        | a | b |
        | --- | --- |
        | 1 | 2\\|3 |
    """
    cells = [[" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    width = max((len(row) for row in cells), default=0)
    lines = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in cells]
    return "\n".join([*lines[:1], f"|{' --- |' * width}", *lines[1:]]) if lines else ""
