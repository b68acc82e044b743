"""The main text of an HTML page, without its navigation, as Markdown: the one door to trafilatura."""

import codecs
import re

from tfchain.core.errors import InputError, MissingPackageError
from tfchain.data.extraction.extracted import Extracted, TextBuilder
from tfchain.data.extraction.html_markdown import to_markdown
from tfchain.data.files.encodings import find_encoding
from tfchain.data.files.limits import ReadLimits

CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
HEAD_BYTES = 4096
LEAST_CHARACTERS = "25"  # of a main text; below trafilatura's own 250, short pages come with their navigation


def extract_html(data: bytes, limits: ReadLimits) -> Extracted:
    """Extracts the main text of a page; all of its text, if no part of it looks like the main one.

    Args:
        data: The page.
        limits: The limits.

    Raises:
        InputError: if it is not a page, or has too much text.
        MissingPackageError: if trafilatura is not installed.
    """
    try:
        from lxml import etree, html
        from trafilatura import extract
        from trafilatura.metadata import extract_metadata
        from trafilatura.settings import use_config
    except ImportError as error:
        raise MissingPackageError(
            "Reading HTML needs the package trafilatura. Install it with `pip install 'tfchain[data]'`."
        ) from error
    text = decode_html(data)
    builder = TextBuilder(limits)
    try:
        tree = html.document_fromstring(text.encode(), parser=html.HTMLParser(encoding="utf-8"))
    except etree.ParserError:  # nothing in it
        return builder.build()
    metadata = extract_metadata(tree)
    settings = use_config()
    settings.set("DEFAULT", "MIN_EXTRACTED_SIZE", LEAST_CHARACTERS)
    found = extract(
        text, output_format="markdown", include_comments=False, include_tables=True, include_formatting=True,
        favor_recall=True,
        config=settings,
    )  # fmt: skip
    if found:
        builder.add(found)
    else:
        body = tree.find("body")
        for block in to_markdown(tree if body is None else body):
            builder.add(block)
    return builder.build((metadata.title if metadata else "") or "")


def decode_html(data: bytes) -> str:
    """Decodes a page: by its mark, as UTF-8, by what it declares, by what it looks like; the first that fits."""
    declared = CHARSET.search(data[:HEAD_BYTES])
    found = find_encoding(data)
    if found is None and declared is None:
        raise InputError("not a text: in no encoding do its bytes look like one. Leave the file out.")
    for encoding in ("utf-8-sig", declared[1].decode("ascii") if declared else None, found):
        if encoding is None:
            continue
        try:
            codecs.lookup(encoding)
            return data.decode(encoding)
        except (LookupError, UnicodeDecodeError, ValueError):
            continue
    return data.decode("utf-8", "replace")
