"""Checks of arguments that many rooms take."""

import operator
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError


def check_whole_number(name: str, value: Any, *, least: int = 1, advice: str = "") -> int:
    """Gives the value as an int.

    Args:
        name: The argument's name, for the error.
        value: What was given; NumPy's whole numbers are fine, strings, fractions and booleans are not.
        least: The smallest that is allowed. Default: 1.
        advice: What to do, for the error.

    Raises:
        InputError: if it is no whole number, or less than `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise InputError(
            f"`{name}` must be a whole number of at least {least}. Received: {name}={value!r}."
            + (f" {advice}" if advice else ""),
            argument=name,
        )
    return number


def check_known_settings(settings: Any, known: Collection[str]) -> None:
    """Stops settings that a newer version of tfchain has written.

    Raises:
        InputError: if there is one that this version has not; the message names it.
        TypeError: if the settings are no dict.
    """
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings must be a dict, and are {settings!r:.100}")
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise InputError(
            f"There are settings that this version of tfchain does not know, so a newer one wrote them: "
            f"{', '.join(map(repr, unknown))}. Install that version. Known here: {', '.join(sorted(known))}."
        )


def check_part(name: str, value: Any) -> None:
    """Raises an InputError if the value is no number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(
            f"`{name}` must be in [0, 1], a part of the training. Received: {name}={value!r}.", argument=name
        )


def check_patterns(name: str, value: Any) -> tuple[str, ...]:
    """Gives patterns as a tuple; one pattern may come alone.

    Raises:
        InputError: if something is no text.
    """
    patterns = (value,) if isinstance(value, str) else value
    if not isinstance(patterns, Sequence) or not all(isinstance(one, str) and one for one in patterns):
        raise InputError(
            f"`{name}` must be a list of patterns, such as ['layer_0']. Received: {name}={value!r}.", argument=name
        )
    return tuple(patterns)


def check_writable(name: str, path: Path) -> None:
    """Makes a folder, and raises where files cannot be written to it.

    Args:
        name: The argument that names it, for the error.
        path: The folder; it need not be there.

    Raises:
        InputError: if it is a file, or the system refuses to write there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"`{name}` must be a folder to write to. Received: {path}: {os.strerror(error.errno or 0)}. "
            "Name another, or let this user write there.",
            argument=name,
        ) from error


def to_path(name: str, value: Any) -> Path:
    """Gives a file's or folder's path, with `~` for the home folder.

    Args:
        name: The argument's name, for the error.
        value: A string or a path.

    Raises:
        InputError: if it is something else, empty, or holds a NUL.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InputError(
            f"`{name}` must be the path of a file or folder, a string or a Path. Received: {name}={value!r:.100}."
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"`{name}` names a home folder that is not there. Received: {text}. {error}") from error


def check_folder_name(name: str, value: Any) -> str:
    """Gives a name that is a folder's as well.

    Args:
        name: The argument's name, for the error.
        value: What was given.

    Raises:
        InputError: if it is no string, empty, or leads to another folder.
    """
    if not isinstance(value, str) or not value.strip() or value in (".", "..") or any(sign in value for sign in "/\0"):
        raise InputError(f"`{name}` must be a name without `/`, such as 'search'. Received: {name}={value!r:.100}.")
    return value
