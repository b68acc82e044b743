"""Paths as users give them: `~` is the home folder, and a file's name may be in another encoding."""

import os
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError


def to_path(path: str | os.PathLike[Any]) -> Path:
    """A path with `~` and `~name` at its beginning replaced by the home folder."""
    return Path(os.path.expanduser(os.fsdecode(path)))


def has_valid_name(path: Path) -> bool:
    """Whether a path's name is UTF-8, as an id must be."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def check_name(path: Path) -> None:
    """Raises where a path's name is not UTF-8, which neither Arrow nor TensorFlow open."""
    if not has_valid_name(path):
        raise InputError(f"Expected a path in UTF-8. Received: {printable(path)}. Rename it.")


def printable(path: Path) -> str:
    r"""A path as text that can be printed: bytes that are not UTF-8 are written as `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
