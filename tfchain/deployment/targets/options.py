"""A target's options: fields of a frozen dataclass with a help, made from values or from the command line's texts."""

import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any

from tfchain.core.errors import InputError

HELP = "help"
_NAMES: Mapping[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    tuple: "several texts",
    types.NoneType: "None",
}
SWITCH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def option(default: Any, help: str) -> Any:
    """Returns a field of a target's options.

    Args:
        default: The default value.
        help: One line for the user.
    """
    return field(default=default, metadata={HELP: help})


def describe_options(options: type[Any]) -> dict[str, str]:
    """Returns the help of each option by name, with its default."""
    return {each.name: f"{each.metadata.get(HELP, '')}  [default: {_show(each.default)}]" for each in fields(options)}


def make_options(target: str, options: type[Any], values: Mapping[str, Any]) -> Any:
    """Makes a target's options, which check themselves.

    Args:
        target: The target's name, for errors.
        options: The dataclass.
        values: The options by name. A text is read as the option's type: `true`, `8`, `0.5`, or `a,b` for several.

    Raises:
        InputError: if an option is unknown, or its value is not possible.
    """
    known = {each.name for each in fields(options)}
    hints = typing.get_type_hints(options)
    made = {}
    for given, value in values.items():
        name = str(given).replace("-", "_")
        if name not in known:
            alike = difflib.get_close_matches(name, known, 1)
            advice = f"Did you mean {alike[0]!r}?" if alike else f"It has: {', '.join(sorted(known)) or 'none'}."
            raise InputError(f"The target {target} has no option {given!r}. {advice}", argument=name)
        made[name] = _read(name, hints[name], value) if isinstance(value, str) else _convert(name, hints[name], value)
    return options(**made)


def _read(name: str, hint: Any, text: str) -> Any:
    """Reads a text as the type of an option: a text, a number, a switch or several texts."""
    kinds = _kinds(hint)
    if types.NoneType in kinds and text.lower() in ("", "none"):
        return None
    if tuple in kinds:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if bool in kinds:
        if text.lower() not in SWITCH:
            raise InputError(f"`{name}` must be true or false. Received: {name}={text}.", argument=name)
        return SWITCH[text.lower()]
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError as error:
                raise InputError(f"`{name}` must be a number. Received: {name}={text}.", argument=name) from error
    return text


def _convert(name: str, hint: Any, value: Any) -> Any:
    """Takes a value of Python as it is if it is of the option's type; a number for a text, such as `cpu=2`, too."""
    kinds = _kinds(hint)
    if kinds == {tuple} and isinstance(value, list | tuple):
        return tuple(map(str, value))
    is_switch = isinstance(value, bool)
    if is_switch == (bool in kinds) and isinstance(value, (*kinds, int) if float in kinds else tuple(kinds)):
        return value
    if kinds == {str} and isinstance(value, int | float) and not is_switch:
        return str(value)
    wanted = " or ".join(sorted(_NAMES.get(kind, kind.__name__) for kind in kinds))
    raise InputError(f"`{name}` must be {wanted}. Received: {name}={value!r}.", argument=name)


def _kinds(hint: Any) -> set[Any]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return {kind for part in typing.get_args(hint) for kind in _kinds(part)}
    return {typing.get_origin(hint) or hint}


def _show(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(map(str, default)) or "none"
    return "none" if default is None else str(default)
