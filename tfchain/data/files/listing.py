"""The files that a pattern or a URL names."""

import glob
import os
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.data.files.data_file import DataFile, to_file
from tfchain.data.files.remote import find_remote_files, is_url


def find_named_files(source: str | os.PathLike[str]) -> list[tuple[str, DataFile]] | None:
    """Lists the files of a URL, or of a pattern such as `docs/**/*.pdf`.

    Args:
        source: A URL, a pattern or a path. A path that exists is no pattern, whatever characters it has.

    Returns:
        The files, sorted, each with its path below the folder where the pattern begins; None if the source is neither.

    Raises:
        InputError: if nothing matches.
    """
    text = os.fspath(source)
    if is_url(text):
        return find_remote_files(text)
    return find_matches(text) if is_pattern(text) else None


def is_pattern(text: str) -> bool:
    """Returns whether a path is a pattern: it has `*`, `?` or `[`, and there is no file of that name."""
    return glob.has_magic(text) and "\0" not in text and not os.path.lexists(os.path.expanduser(text))


def find_matches(pattern: str) -> list[tuple[str, DataFile]]:
    """Lists the files that match a pattern, without hidden ones and those in linked folders, which may be circles."""
    full = os.path.expanduser(pattern)
    root = Path(full)
    while glob.has_magic(str(root)):
        root = root.parent
    matches = {Path(name) for name in glob.iglob(full, recursive=True) if os.path.isfile(name)}
    linked: dict[Path, bool] = {root: False}
    found = sorted(path for path in matches if not is_linked(path.parent, linked))
    if not found:
        raise InputError(
            f"No file matches {pattern}. Check the pattern (the current folder is {Path.cwd()}); `**` stands for any "
            "folders."
        )
    return [(path.relative_to(root).as_posix(), to_file(path)) for path in found]


def is_linked(folder: Path, known: dict[Path, bool]) -> bool:
    """Returns whether a folder is a link, or lies in one; `known` has the folder where the search began."""
    if folder not in known:
        known[folder] = folder.is_symlink() or (folder.parent != folder and is_linked(folder.parent, known))
    return known[folder]
