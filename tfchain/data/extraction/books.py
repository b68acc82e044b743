"""The chapters of an EPUB book as Markdown, in reading order."""

import posixpath
import zipfile
from typing import Any
from urllib.parse import unquote

from tfchain.core.errors import InputError, MissingPackageError, first_line
from tfchain.data.extraction.extracted import Extracted, TextBuilder
from tfchain.data.extraction.html import decode_html
from tfchain.data.extraction.html_markdown import to_markdown
from tfchain.data.extraction.zip_checks import open_checked
from tfchain.data.files.limits import ReadLimits

CONTAINER = "META-INF/container.xml"
CHAPTER_TYPES = ("application/xhtml+xml", "text/html")


def extract_epub(data: bytes, limits: ReadLimits) -> Extracted:
    """Extracts the chapters of an `.epub` file. Only files in the book are opened, whatever it refers to.

    Args:
        data: The file.
        limits: The limits.

    Raises:
        InputError: if the file is damaged, a bomb, or has too many chapters or too much text.
        MissingPackageError: if lxml is not installed.
    """
    try:
        from lxml import html
    except ImportError as error:
        raise MissingPackageError(
            "Reading .epub needs the package lxml. Install it with `pip install 'tfchain[data]'`."
        ) from error
    with open_checked(data, limits) as archive:
        rootfile = next(iter(find(parse_xml(archive, CONTAINER), "rootfile")), None)
        if rootfile is None or not rootfile.get("full-path"):
            raise InputError(f"not a book: {CONTAINER} names no package. Save it again.")
        package_path = rootfile.get("full-path")
        package = parse_xml(archive, package_path)
        builder = TextBuilder(limits)
        for number, path in enumerate(chapter_paths(package, package_path), 1):
            if number > limits.pages:
                raise InputError(
                    f"has more than {limits.pages:,} chapters. Expected fewer. Raise `pages` of the limits."
                )
            chapter = decode_html(read_part(archive, path))
            if not chapter.strip():
                continue
            tree = html.document_fromstring(chapter.encode(), parser=html.HTMLParser(encoding="utf-8"))
            body = tree.find("body")
            for block in to_markdown(tree if body is None else body):
                builder.add(block)
    title = next((element.text for element in find(package, "title") if element.text), "")
    return builder.build(title)


def chapter_paths(package: Any, package_path: str) -> list[str]:
    """Returns the paths of a book's chapters in the archive, in reading order."""
    items = {item.get("id"): item for item in find(package, "item")}
    folder = posixpath.dirname(package_path)
    paths = []
    for reference in find(package, "itemref"):
        item = items.get(reference.get("idref"))
        if item is not None and item.get("media-type") in CHAPTER_TYPES and item.get("href"):
            paths.append(posixpath.normpath(posixpath.join(folder, unquote(item.get("href").partition("#")[0]))))
    return paths


def parse_xml(archive: zipfile.ZipFile, path: str) -> Any:
    """Parses an XML part of a book, without entities and without opening anything else."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(read_part(archive, path), parser)
    except etree.XMLSyntaxError as error:
        raise InputError(f"damaged in {path[:80]!r}: {first_line(error)}. Save it again.") from error


def read_part(archive: zipfile.ZipFile, path: str) -> bytes:
    """Reads a part of a book."""
    try:
        return archive.read(path)
    except KeyError:
        raise InputError(f"not a whole book: it has no {path[:80]!r}. Save it again.") from None
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
        raise InputError(f"damaged in {path[:80]!r}: {first_line(error)}. Save it again.") from error


def find(element: Any, name: str) -> Any:
    """Yields the elements of a name below an element, in whatever namespace."""
    return element.iter(f"{{*}}{name}")
