"""The text of a PDF, page by page: the one door to pypdf."""

import io
import re
from typing import Any

from tfchain.core.errors import InputError, MissingPackageError, first_line
from tfchain.data.extraction.extracted import Extracted, TextBuilder
from tfchain.data.files.limits import ReadLimits

HYPHEN = re.compile(r"(?<=[a-zà-ÿ])-\n(?=[a-zà-ÿ])")  # a word cut at the end of a line


def extract_pdf(data: bytes, limits: ReadLimits) -> Extracted:
    """Extracts the text of a PDF's pages, and where each begins. Scanned pages have no text.

    Args:
        data: The file.
        limits: The limits.

    Raises:
        InputError: if the file is damaged, needs a password, or has too many pages or too much text.
        MissingPackageError: if pypdf is not installed.
    """
    try:
        import pypdf
        from pypdf.errors import DependencyError, PyPdfError
    except ImportError as error:
        raise MissingPackageError(
            "Reading PDF needs the package pypdf. Install it with `pip install 'tfchain[data]'`."
        ) from error
    builder = TextBuilder(limits)
    try:
        reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError("needs a password. Expected a PDF that opens without. Save it again without one.")
        if len(reader.pages) > limits.pages:
            raise InputError(
                f"has {len(reader.pages):,} pages. Expected at most {limits.pages:,}. Cut it up, or raise `pages` of "
                "the limits."
            )
        for page in reader.pages:
            builder.begin_page()
            builder.add(HYPHEN.sub("", page.extract_text()))
        return builder.build(title_of(reader))
    except DependencyError as error:
        raise InputError(f"is encrypted: {first_line(error)}. Save it again without a password.") from error
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, AssertionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"not a whole PDF: {first_line(error)}. Save it again.") from error


def title_of(reader: Any) -> str:
    """Returns the title in a PDF's metadata; `""` if there is none, or it is damaged or no text."""
    try:
        title = reader.metadata.title if reader.metadata else None
    except Exception:  # whatever a damaged dictionary leads to: a title is not worth the document
        return ""
    return title if isinstance(title, str) and title.isprintable() else ""
