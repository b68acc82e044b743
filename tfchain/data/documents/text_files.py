"""Text files as records: a file is a document, a Markdown file's first heading its title."""

import re

from tfchain.data.files.data_file import DataFile
from tfchain.data.files.lines import read_any_text
from tfchain.data.files.place import Place, Record
from tfchain.data.files.read_session import ReadSession

FENCE = re.compile(r"^ {0,3}(```|~~~)")
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+")


def read_text_file(file: DataFile, id: str, session: ReadSession) -> Record:
    """Reads one text file, in UTF-8 or in the encoding that it looks like.

    Raises:
        InputError: if the file cannot be read, or is in no encoding that is known.
    """
    text = read_any_text(file, session)
    title = first_heading(text) if file.ending == ".md" else ""
    return Place(str(file)), {"id": id, "title": title, "text": text}


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
