"""The text of a PowerPoint presentation as Markdown: the one door to python-pptx."""

import io
from collections.abc import Iterator
from typing import Any

from tfchain.core.errors import InputError, MissingPackageError, first_line
from tfchain.data.extraction.extracted import Extracted, TextBuilder, to_table
from tfchain.data.extraction.zip_checks import open_checked
from tfchain.data.files.limits import ReadLimits

MOST_LEVELS = 20


def extract_pptx(data: bytes, limits: ReadLimits) -> Extracted:
    """Extracts the slides of a `.pptx` file: title, texts, tables and notes, and where each slide begins.

    Args:
        data: The file.
        limits: The limits.

    Raises:
        InputError: if the file is damaged, a bomb, or has too many slides or too much text.
        MissingPackageError: if python-pptx is not installed.
    """
    try:
        import pptx
    except ImportError as error:
        raise MissingPackageError(
            "Reading .pptx needs the package python-pptx. Install it with `pip install 'tfchain[data]'`."
        ) from error
    open_checked(data, limits).close()
    try:
        presentation = pptx.Presentation(io.BytesIO(data))
    except (KeyError, ValueError, OSError) as error:
        raise InputError(f"not a presentation: {first_line(error)}. Save it again.") from error
    builder = TextBuilder(limits)
    first_title = ""
    for slide in presentation.slides:
        builder.begin_page()
        heading = slide.shapes.title
        title = " ".join(heading.text_frame.text.split()) if heading is not None else ""
        first_title = first_title or title
        builder.add(f"## {title}" if title else "")
        for shape in shapes_of(slide.shapes, 0):
            if heading is not None and shape.shape_id == heading.shape_id:
                continue
            if getattr(shape, "has_table", False):
                builder.add(to_table([[cell.text for cell in row.cells] for row in shape.table.rows]))
            elif shape.has_text_frame:
                builder.add(text_of(shape))
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            builder.add(slide.notes_slide.notes_text_frame.text)
    return builder.build((presentation.core_properties.title or "").strip() or first_title)


def shapes_of(shapes: Any, level: int) -> Iterator[Any]:
    """Yields shapes, and those in groups."""
    for shape in shapes:
        if hasattr(shape, "shapes") and level < MOST_LEVELS:
            yield from shapes_of(shape.shapes, level + 1)
        else:
            yield shape


def text_of(shape: Any) -> str:
    """Returns a shape's paragraphs: as a list, if there are several in a placeholder for content."""
    paragraphs = [(part.level, " ".join(part.text.split())) for part in shape.text_frame.paragraphs]
    paragraphs = [(level, text) for level, text in paragraphs if text]
    is_list = shape.is_placeholder and len(paragraphs) > 1
    return ("\n" if is_list else "\n\n").join(
        f"{'  ' * level}- {text}" if is_list else text for level, text in paragraphs
    )
