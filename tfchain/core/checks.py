"""Checks of arguments that many rooms take."""

import operator
import os
import tempfile
from collections.abc import Collection, Iterable, Sequence
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


def check_known_settings(names: Iterable[str], known: Collection[str]) -> None:
    """Stops settings that a newer version of tfchain has written.

    Raises:
        InputError: if there is one that this version has not; the message names it.
    """
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise InputError(
            f"There are settings that this version of tfchain does not know, so a newer one wrote them: "
            f"{', '.join(unknown)}. Install that version. Known here: {', '.join(sorted(known))}."
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


def check_path(name: str, value: Any) -> Path:
    """Gives a path.

    Raises:
        InputError: if it is no text and no path, or empty.
    """
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise InputError(f"`{name}` must be a path. Received: {name}={value!r:.100}.", argument=name)
    return Path(value)


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
