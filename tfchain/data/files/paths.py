"""Paths as users give them: `~` is the home folder, and file names can be in any encoding."""

import os
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError


def to_path(path: str | os.PathLike[Any]) -> Path:
    """Returns a path with a leading `~` or `~name` replaced by the home folder."""
    return Path(os.path.expanduser(os.fsdecode(path)))


def has_valid_name(path: Path) -> bool:
    """Returns whether a path is valid UTF-8, as ids must be."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def check_name(path: Path) -> None:
    """Raises an InputError if a path is not UTF-8: neither Arrow nor TensorFlow can open such paths."""
    if not has_valid_name(path):
        raise InputError(f"Expected a path in UTF-8. Received: {printable(path)}. Rename it.")


def printable(path: Path) -> str:
    r"""Returns a path as printable text; bytes that are not UTF-8 become escapes such as `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
