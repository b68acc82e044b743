"""Folders of files that documents are read from."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.data.documents.file_kinds import READ_FROM, choose_files, is_corpus, is_document, is_records
from tfchain.data.files.paths import has_valid_name, printable

logger = logging.getLogger(__name__)


def list_folder(folder: Path) -> list[tuple[str, Path]]:
    """Lists the files below a folder that documents are read from, sorted by path.

    Hidden files and folders (`.git`) and links to folders are left out, so that links cannot lead in circles. Files of
    other kinds are left out and counted in one log line. Broken links, pipes and devices, and files whose names are not
    UTF-8 (the name is the id) are left out with a warning.

    Returns:
        The path below the folder, with `/`, and the path.

    Raises:
        InputError: if there is no such file.
    """
    shown = [
        Path(parent, name)
        for parent, names in walk(folder)
        for name in names
        if not name.startswith(".")
    ]  # fmt: skip
    odd = [path for path in shown if could_be_read(path) and not path.is_file()]
    unnamed = [path for path in shown if path.is_file() and not has_valid_name(path.relative_to(folder))]
    warn_left_out([path for path in odd if has_valid_name(path)], folder, "links that lead nowhere, pipes or devices")
    warn_left_out(
        [path for path in unnamed if could_be_read(path)],
        folder,
        "files whose names are not UTF-8 (rename them: the name is the document's id)",
    )
    left_out = {*odd, *unnamed}
    paths = {path.relative_to(folder).as_posix(): path for path in shown if path not in left_out}
    choice = choose_files(paths)
    if not choice.names:
        raise InputError(
            f"The folder {printable(folder)} has no file that documents are read from. Expected files that end in "
            f"{READ_FROM}. Received: {len(shown)} other files."
        )
    if choice.others:
        kinds = sorted({Path(name).suffix.lower() or "no ending" for name in set(paths) - set(choice.names)})
        logger.info("Left out %d files of %s: %s.", choice.others, printable(folder), ", ".join(kinds[:20]))
    return [(name, paths[name]) for name in sorted(choice.names, key=lambda name: name.split("/"))]


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Walks the folders that are not hidden; a link to a folder is not followed."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield parent, names


def could_be_read(path: Path) -> bool:
    """Returns whether a file's name says that documents may be read from it."""
    return is_document(path.name) or is_records(path.name) or is_corpus(path.name)


def warn_left_out(paths: list[Path], folder: Path, what: str) -> None:
    """Logs in one line how many files of a folder are left out, and why."""
    if paths:
        logger.warning(
            "Left out %d of %s: %s, the first %s.", len(paths), printable(folder), what, printable(min(paths))
        )
