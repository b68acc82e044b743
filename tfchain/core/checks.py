"""Checks of arguments that many rooms take."""

import operator
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
            + (f" {advice}" if advice else "")
        )
    return number
