"""The cells of an Excel workbook as Markdown tables: the one door to openpyxl."""

import io
from typing import Any

from tfchain.core.errors import InputError, MissingPackageError, first_line
from tfchain.data.extraction.extracted import Extracted, TextBuilder, to_table
from tfchain.data.extraction.zip_checks import open_checked
from tfchain.data.files.limits import ReadLimits

ROWS_IN_BLOCK = 500


def extract_xlsx(data: bytes, limits: ReadLimits) -> Extracted:
    """Extracts the sheets of a `.xlsx` file, each as a heading and a table; of formulas, the values last computed.

    Args:
        data: The file.
        limits: The limits.

    Raises:
        InputError: if the file is damaged, a bomb, or has too much text.
        MissingPackageError: if openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise MissingPackageError(
            "Reading .xlsx needs the package openpyxl. Install it with `pip install 'tfchain[data]'`."
        ) from error
    open_checked(data, limits).close()
    try:
        workbook = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise InputError(f"not a workbook: {first_line(error)}. Save it again.") from error
    builder = TextBuilder(limits)
    for sheet in workbook.worksheets:
        sheet.reset_dimensions()  # what the file claims may be a million empty rows
        add_sheet(builder, sheet)
    title = workbook.properties.title
    return builder.build((title or "").strip())


def add_sheet(builder: TextBuilder, sheet: Any) -> None:
    """Adds a sheet's heading and table."""
    has_begun = False
    rows: list[list[str]] = []
    for row in sheet.iter_rows(values_only=True):
        cells = ["" if value is None else str(value) for value in row]
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            continue
        if not has_begun:
            builder.add(f"## {sheet.title}")
            builder.add(to_table([cells]))
            has_begun = True
            continue
        rows.append(cells)
        if len(rows) == ROWS_IN_BLOCK:
            builder.add(to_rows(rows), "\n")
            rows = []
    builder.add(to_rows(rows), "\n")


def to_rows(rows: list[list[str]]) -> str:
    """Returns rows of a table below its head."""
    return "\n".join(to_table([row]).split("\n")[0] for row in rows)
