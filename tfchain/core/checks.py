"""Checks of arguments that several rooms share."""

import operator
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError


def check_whole_number(name: str, value: Any, *, least: int = 1, advice: str = "") -> int:
    """Returns a whole number as an int.

    Args:
        name: The argument's name, for the error.
        value: The value. NumPy's whole numbers are accepted; strings, fractions and booleans are not.
        least: The smallest allowed value. Default: 1.
        advice: What to do, for the error. Default: nothing.

    Raises:
        InputError: if the value is not a whole number, or is less than `least`.
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
    """Refuses settings that a newer version of tfchain wrote.

    Raises:
        InputError: if this version does not know a setting; the message names it.
        TypeError: if the settings are not a dict.
    """
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings must be a dict. Received: {settings!r:.100}")
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise InputError(
            f"This version of tfchain does not know these settings, so a newer version wrote them: "
            f"{', '.join(map(repr, unknown))}. Install that version. Known here: {', '.join(sorted(known))}."
        )


def check_part(name: str, value: Any) -> None:
    """Raises an InputError if the value is not a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(
            f"`{name}` must be in [0, 1], a part of the training. Received: {name}={value!r}.", argument=name
        )


def check_patterns(name: str, value: Any) -> tuple[str, ...]:
    """Returns patterns as a tuple; a single string counts as one pattern.

    Raises:
        InputError: if a pattern is not a string, or is empty.
    """
    patterns = (value,) if isinstance(value, str) else value
    if not isinstance(patterns, Sequence) or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise InputError(
            f"`{name}` must be a list of patterns, such as ['layer_0']. Received: {name}={value!r}.", argument=name
        )
    return tuple(patterns)


def check_writable(name: str, path: Path) -> None:
    """Makes a folder, and checks that files can be written to it.

    Args:
        name: The argument that names the folder, for the error.
        path: The folder; it need not exist.

    Raises:
        InputError: if it is a file, or the operating system refuses to write to it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"`{name}` must be a folder to write to. Received: {path}: {os.strerror(error.errno or 0)}. "
            "Name another folder, or let this user write to this one.",
            argument=name,
        ) from error


def to_path(name: str, value: Any) -> Path:
    """Returns the path of a file or folder, with `~` replaced by the home folder.

    Args:
        name: The argument's name, for the error.
        value: A string or a path.

    Raises:
        InputError: if the value is of another type, is empty, or contains a NUL, or if the home folder does not exist.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InputError(
            f"`{name}` must be the path of a file or folder, a string or a Path. Received: {name}={value!r:.100}."
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"`{name}` names a home folder that does not exist. Received: {text}. {error}") from error
