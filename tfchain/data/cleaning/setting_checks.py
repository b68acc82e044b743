"""Checks of the settings that several cleaning steps have."""

from collections.abc import Collection
from typing import Any

from tfchain.core.errors import InputError


def check_share(name: str, value: Any, *, optional: bool = True) -> None:
    """Raises an InputError if a setting is not a share from 0 to 1 (or `None`, which switches a rule off)."""
    if value is None and optional:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        off = ", or None to switch the rule off" if optional else ""
        raise InputError(f"`{name}` must be in [0, 1]{off}. Received: {name}={value!r}.", argument=name)


def check_count(name: str, value: Any, *, optional: bool = True, least: int = 0) -> None:
    """Raises an InputError if a setting is not a whole number of at least `least` (or `None`)."""
    if value is None and optional:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        off = ", or None to switch the rule off" if optional else ""
        raise InputError(
            f"`{name}` must be a whole number of at least {least}{off}. Received: {name}={value!r}.", argument=name
        )


def check_names(name: str, values: Any, known: Collection[str]) -> None:
    """Raises an InputError if a setting is not a list of known names."""
    if isinstance(values, str) or not all(value in known for value in values):
        raise InputError(
            f"`{name}` must be a list of some of: {', '.join(known)}. Received: {name}={values!r}.", argument=name
        )


def check_word(name: str, value: Any, known: Collection[str]) -> None:
    """Raises an InputError if a setting is not one of a few words."""
    if value not in known:
        raise InputError(f"`{name}` must be one of: {', '.join(known)}. Received: {name}={value!r}.", argument=name)
