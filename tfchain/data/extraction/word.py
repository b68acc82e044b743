"""The text of a Word document as Markdown: the one door to python-docx."""

import io
import re
from typing import Any

from tfchain.core.errors import InputError, MissingPackageError, first_line
from tfchain.data.extraction.extracted import Extracted, TextBuilder, to_table
from tfchain.data.extraction.zip_checks import open_checked
from tfchain.data.files.limits import ReadLimits

HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
LIST = re.compile(r"list (bullet|number)(?: ([1-9]))?", re.IGNORECASE)


def extract_docx(data: bytes, limits: ReadLimits) -> Extracted:
    """Extracts headings, paragraphs, lists and tables of a `.docx` file, in their order.

    The title is that of the document's properties, else its first title or heading.

    Args:
        data: The file.
        limits: The limits.

    Raises:
        InputError: if the file is damaged, a bomb, or has too much text.
        MissingPackageError: if python-docx is not installed.
    """
    try:
        import docx
    except ImportError as error:
        raise MissingPackageError(
            "Reading .docx needs the package python-docx. Install it with `pip install 'tfchain[data]'`."
        ) from error
    open_checked(data, limits).close()
    try:
        document = docx.Document(io.BytesIO(data))
    except (KeyError, ValueError, OSError) as error:
        raise InputError(f"not a Word document: {first_line(error)}. Save it again.") from error
    builder = TextBuilder(limits)
    styles: dict[Any, str] = {}
    title, in_list = "", False
    item: Any
    for item in document.iter_inner_content():
        if not hasattr(item, "runs"):
            builder.add(to_table(list(table_rows(item))))
            in_list = False
            continue
        style_id = item._p.style  # looking up a style by its id searches them all
        if style_id not in styles:
            styles[style_id] = (item.style.name or "") if item.style is not None else ""
        mark = mark_of(item, styles[style_id])
        text = " ".join(item.text.split()) if mark else item.text.strip()
        if mark.startswith("#") and text:
            title = title or text
        is_list = mark.lstrip().startswith(("- ", "1. "))
        if text:
            builder.add(mark + text, "\n" if is_list and in_list else "\n\n")
        in_list = is_list
    return builder.build((document.core_properties.title or "").strip() or title)


def mark_of(paragraph: Any, style: str) -> str:
    """Returns what a paragraph begins with in Markdown: `## `, `- `, `1. ` or nothing."""
    if style.lower() == "title":
        return "# "
    if found := HEADING.fullmatch(style):
        return "#" * min(int(found[1]), 6) + " "
    if found := LIST.fullmatch(style):
        return "  " * (int(found[2] or 1) - 1) + ("- " if found[1].lower() == "bullet" else "1. ")
    properties = paragraph._p.pPr
    numbering = None if properties is None else properties.numPr
    if numbering is None:
        return ""
    level = numbering.ilvl.val if numbering.ilvl is not None else 0
    return "  " * min(level, 8) + "- "


def table_rows(table: Any) -> Any:
    """Yields the texts of a table's rows; a cell that spans columns or rows stands once in each row."""
    for row in table.rows:
        cells: list[str] = []
        last = None
        for cell in row.cells:
            if cell._tc is not last:
                cells.append(cell.text)
            last = cell._tc
        yield cells
