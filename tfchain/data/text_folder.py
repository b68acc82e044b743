"""Folders of text files: each file is one record."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.data.lines import read_text
from tfchain.data.records import Place, Record

logger = logging.getLogger(__name__)

TEXT_ENDINGS = (".txt", ".md", ".rst", ".text")
FENCE = re.compile(r"^ {0,3}(```|~~~)")
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")


def read_text_folder(folder: Path) -> Iterator[Record]:
    """Reads the text files below a folder, sorted by path.

    Hidden files and folders (`.git`) and links to folders are left out. Files with other endings are counted in one
    log line.

    Yields:
        The place and a dict of `id` (the path below the folder), `title` (a Markdown file's first heading, else `""`)
        and `text`.

    Raises:
        InputError: if there is no text file, or one is not UTF-8.
    """
    paths, others = [], 0
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        shown = [Path(parent, name) for name in names if not name.startswith(".")]
        texts = [path for path in shown if path.suffix.lower() in TEXT_ENDINGS]
        paths += texts
        others += len(shown) - len(texts)
    if not paths:
        raise InputError(
            f"The folder {folder} has no text file. Expected files that end in {', '.join(TEXT_ENDINGS)}, or a BEIR "
            f"folder with corpus.jsonl. Received: {others} other files. Give the path of a .jsonl, .csv, .tsv or "
            ".parquet file itself."
        )
    if others:
        logger.info("Left out %d files of %s that do not end in %s.", others, folder, ", ".join(TEXT_ENDINGS))
    for path in sorted(paths, key=lambda path: path.relative_to(folder).parts):
        yield read_text_file(path, path.relative_to(folder).as_posix())


def read_text_file(path: Path, id: str) -> Record:
    """Reads one text file."""
    text = read_text(path)
    title = first_heading(text) if path.suffix.lower() == ".md" else ""
    return Place(str(path)), {"id": id, "title": title, "text": text}


def first_heading(text: str) -> str:
    """The first Markdown heading outside of a fenced block, `""` where there is none."""
    fenced = False
    for line in text.splitlines():
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced and (found := HEADING.match(line)) and found[1]:
            return found[1]
    return ""
