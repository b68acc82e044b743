"""Checks of files that are zip archives of XML (.docx, .pptx, .xlsx, .epub) before any library unpacks them."""

import io
import re
import zipfile

from tfchain.core.errors import InputError, first_line
from tfchain.data.files.limits import ReadLimits

XML_ENDINGS = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx", ".vml", ".svg")
CHUNK_BYTES = 2**20
OVERLAP = 64
# An entity that expands to others, or names a file, needs a declaration; neither Office nor EPUB files have one. The
# Open Packaging Conventions forbid document type declarations altogether, EPUB's XHTML has them without entities.
ENTITY = re.compile(rb"<!ENTITY|<\0!\0E\0N\0T\0I\0T\0Y|\0<\0!\0E\0N\0T\0I\0T\0Y", re.IGNORECASE)


def open_checked(data: bytes, limits: ReadLimits) -> zipfile.ZipFile:
    """Opens a zip archive whose files unpack to a bounded size, and whose XML declares no entities.

    Raises:
        InputError: if it is no zip archive, a bomb, or declares an entity. The message has no file name.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise InputError(
            f"not a zip archive, as files of this kind are: {first_line(error)}. Save it again."
        ) from error
    infos = archive.infolist()
    unpacked = sum(info.file_size for info in infos)
    if len(infos) > limits.archive_members:
        raise InputError(f"holds {len(infos):,} parts. Expected at most {limits.archive_members:,}.")
    if unpacked > limits.unpacked_bytes or not limits.allows_unpacked(unpacked, len(data)):
        raise InputError(
            f"unpacks to {unpacked:,} bytes, from {len(data):,}. Expected at most {limits.unpacked_bytes:,}, and "
            f"{limits.compression_ratio:g} times its size. If you trust it, raise `unpacked_bytes` or "
            "`compression_ratio` of the limits."
        )
    for info in infos:
        if info.filename.lower().endswith(XML_ENDINGS):
            check_entities(archive, info)
    return archive


def check_entities(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """Raises an InputError if a part declares an XML entity."""
    try:
        with archive.open(info) as part:
            rest = b""
            while chunk := part.read(CHUNK_BYTES):
                if ENTITY.search(rest + chunk):
                    raise InputError(
                        f"declares an XML entity in {info.filename[:80]!r}, which files of this kind never need and "
                        "bombs are made of. Save it again."
                    )
                rest = chunk[-OVERLAP:]
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise InputError(f"damaged in {info.filename[:80]!r}: {first_line(error)}. Save it again.") from error
