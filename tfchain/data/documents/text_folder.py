"""Folders of text files: each file is one record."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.data.files.lines import read_text
from tfchain.data.files.paths import has_valid_name, printable
from tfchain.data.files.place import Place, Record

logger = logging.getLogger(__name__)

TEXT_ENDINGS = (".txt", ".md", ".rst", ".text")
FENCE = re.compile(r"^ {0,3}(```|~~~)")
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+")


def read_text_folder(folder: Path) -> Iterator[Record]:
    """Reads the text files below a folder, sorted by path.

    Hidden files and folders (`.git`) and links to folders are skipped. Files with other endings are skipped and counted
    in one log line. Broken links, pipes and devices, and files whose names are not UTF-8 (the name is the id) are
    skipped with a warning.

    Yields:
        The place and a dict of `id` (the path below the folder), `title` (a Markdown file's first heading, else `""`)
        and `text`.

    Raises:
        InputError: if there is no text file, or a text file is not UTF-8.
    """
    paths: list[Path] = []
    others = 0
    odd: list[Path] = []
    unnamed: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        shown = [Path(parent, name) for name in names if not name.startswith(".")]
        texts = [path for path in shown if path.suffix.lower() in TEXT_ENDINGS]
        others += len(shown) - len(texts)
        odd += [path for path in texts if not path.is_file()]
        files = [path for path in texts if path.is_file()]
        unnamed += [path for path in files if not has_valid_name(path.relative_to(folder))]
        paths += [path for path in files if has_valid_name(path.relative_to(folder))]
    warn_left_out(odd, folder, "links that lead nowhere, pipes or devices")
    warn_left_out(unnamed, folder, "files whose names are not UTF-8 (rename them: the name is the document's id)")
    if not paths:
        found = others + len(odd) + len(unnamed)
        raise InputError(
            f"The folder {printable(folder)} has no text file. Expected files that end in {', '.join(TEXT_ENDINGS)}, "
            f"or a BEIR folder with corpus.jsonl. Received: {found} other files. Give the path of a .jsonl, .csv, .tsv "
            "or .parquet file itself."
        )
    if others:
        logger.info("Left out %d files of %s that do not end in %s.", others, folder, ", ".join(TEXT_ENDINGS))
    for path in sorted(paths, key=lambda path: path.relative_to(folder).parts):
        yield read_text_file(path, path.relative_to(folder).as_posix())


def warn_left_out(paths: list[Path], folder: Path, what: str) -> None:
    """Logs in one line how many files of a folder are left out, and why."""
    if paths:
        logger.warning(
            "Left out %d of %s: %s, the first %s.", len(paths), printable(folder), what, printable(min(paths))
        )


def read_text_file(path: Path, id: str) -> Record:
    """Reads one text file.

    Raises:
        InputError: if the file or its id is not UTF-8.
    """
    if not has_valid_name(Path(id)):
        raise InputError(
            f"Expected a file whose name is UTF-8: it is the document's id. Received: {printable(path)}. Rename it."
        )
    text = read_text(path)
    title = first_heading(text) if path.suffix.lower() == ".md" else ""
    return Place(str(path)), {"id": id, "title": title, "text": text}


def first_heading(text: str) -> str:
    """Returns the first Markdown heading outside fenced blocks; `""` if there is none."""
    fenced = False
    for line in text.splitlines():
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced and (found := HEADING.match(line)) and (title := strip_heading(line[found.end() :])):
            return title
    return ""


def strip_heading(title: str) -> str:
    """Returns a heading without surrounding spaces and without closing number signs."""
    title = title.strip(" \t")
    bare = title.rstrip("#")
    return bare.rstrip(" \t") if not bare or bare[-1] in " \t" else title
