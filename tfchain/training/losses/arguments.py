"""Checks the numbers and words that the losses' constructors take."""

import math
from collections.abc import Sequence
from typing import Any

from tfchain.core.errors import InputError


def check_number(name: str, value: Any, *, above: float | None = None, least: float | None = None) -> float:
    """Returns the value as a float.

    Args:
        name: The argument's name, for the error.
        value: What was given; NumPy's numbers are fine, strings and booleans are not.
        above: A bound that the value must exceed. Default: none.
        least: The smallest value allowed. Default: none.

    Raises:
        InputError: if the value is not a finite number, or out of bounds.
    """
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    bound = "" if above is None else f" above {above:g}"
    bound += "" if least is None else f" of at least {least:g}"
    if not math.isfinite(number) or (above is not None and number <= above) or (least is not None and number < least):
        raise InputError(f"`{name}` must be a finite number{bound}. Received: {name}={value!r}.")
    return number


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Returns the value if it is an allowed word.

    Args:
        name: The argument's name, for the error.
        value: What was given.
        choices: The allowed words.

    Raises:
        InputError: if it is not one of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"`{name}` must be one of {', '.join(choices)}. Received: {name}={value!r}.")
    return value


def to_scale(scale: Any, temperature: Any, *, default: float = 20.0) -> float:
    """Returns the factor of the similarities, given as `scale` or as `temperature` = 1 / scale.

    Args:
        scale: The factor.
        temperature: Its inverse, or None.
        default: The value of `scale` that counts as not given.

    Raises:
        InputError: if a value is not above 0, or the two contradict each other.
    """
    scale = check_number("scale", scale, above=0)
    if temperature is None:
        return scale
    from_temperature = 1 / check_number("temperature", temperature, above=0)
    if scale != default and not math.isclose(scale, from_temperature):
        raise InputError(
            "`scale` and `temperature` = 1 / scale are two ways to say the same, give one of them. "
            f"Received: scale={scale:g}, temperature={temperature:g}."
        )
    return from_temperature
