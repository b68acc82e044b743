"""The settings that a file gives a chain: by the names and types of the chain's own arguments, with file and line."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.jobs.yaml_lines import describe_type, is_of_type, suggest, to_short

# Arguments that a file has keys of their own for, or none.
NO_SETTINGS = ("self", "cls", "tokenizer", "model", "name_or_path", "learning_rate", "batch_size", "epochs", "dataset")


def find_settings(make: Any) -> dict[str, Any]:
    """Returns the settings that a file may give a chain, with the type of each.

    Args:
        make: The chain's class, or its `from_pretrained`. One that takes `**options: Any` has the constructor's, too.
    """
    parameters = inspect.signature(make).parameters
    is_reader = inspect.ismethod(make) and isinstance(make.__self__, type)
    try:
        hints = typing.get_type_hints(make if is_reader else make.__init__)
    except NameError:  # a type that is imported for type checkers alone: the chain checks the values itself
        hints = {}
    known = {
        name: hints.get(name, Any)
        for name, parameter in parameters.items()
        if name not in NO_SETTINGS and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
    rest = next((name for name, parameter in parameters.items() if parameter.kind is parameter.VAR_KEYWORD), "")
    if is_reader and rest and parameters[rest].annotation in (Any, "Any"):
        known = {**find_settings(make.__self__), **known}
    return known


def make_settings(
    known: Mapping[str, Any], settings: Mapping[str, Any], places: Mapping[str, str], *, folder: Path | None = None
) -> dict[str, Any]:
    """Makes a chain's arguments from a file's values.

    A mapping becomes the dataclass that the argument takes. A text that names a file or folder, where the argument
    takes one, becomes its path.

    Args:
        known: The types of the chain's settings by name.
        settings: The values of the file by name.
        places: File and line of each by its name.
        folder: The folder that paths are relative to. Default: the current folder.

    Raises:
        InputError: names file and line of a setting that the chain does not have, of another type, or out of range.
    """
    made = {}
    for name, value in settings.items():
        if name not in known:
            hint = suggest(name, [*known]) if known else "It has no settings."
            raise InputError(f"{find_place(places, name)}: The chain of this task has no setting `{name}`. {hint}")
        options = find_dataclass(known[name])
        if options is not None and isinstance(value, dict):
            made[name] = make_options(options, name, value, places)
            continue
        if not is_of_type(value, known[name]):
            raise InputError(
                f"{find_place(places, name)}: `{name}` must be {describe_type(known[name])}. "
                f"Received: {to_short(value)}."
            )
        made[name] = find_path(value, known[name], folder or Path())
    return made


def make_options(kind: Any, name: str, values: Mapping[str, Any], places: Mapping[str, str]) -> Any:
    """Makes a dataclass of options from a mapping.

    Raises:
        InputError: names file and line of an unknown field, or of one of another type or out of range.
    """
    hints = typing.get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind) if field.init]
    made: dict[str, Any] = {}
    for field, value in values.items():
        place = find_place(places, f"{name}.{field}", name)
        if field not in fields:
            raise InputError(f"{place}: There is no key `{name}.{field}`. {suggest(field, fields)}")
        inner = find_dataclass(hints[field])
        if inner is not None and isinstance(value, dict):
            made[field] = make_options(inner, f"{name}.{field}", value, places)
            continue
        if not is_of_type(value, hints[field]):
            raise InputError(
                f"{place}: `{name}.{field}` must be {describe_type(hints[field])}. Received: {to_short(value)}."
            )
        made[field] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**made)
    except InputError as error:
        about = error.argument or next((field for field in values if str(error).startswith(f"`{field}` ")), "")
        raise InputError(f"{find_place(places, f'{name}.{about}', name)}: {error}", argument=error.argument) from error
    except TypeError as error:
        raise InputError(f"{find_place(places, name)}: `{name}` cannot be made of {dict(values)}: {error}.") from error


def find_dataclass(hint: Any) -> Any:
    """Returns the dataclass that an argument takes; None if it takes none."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(filter(None, map(find_dataclass, typing.get_args(hint))), None)
    return hint if isinstance(hint, type) and dataclasses.is_dataclass(hint) else None


def find_path(value: Any, hint: Any, folder: Path) -> Any:
    """Returns the path of a file or folder that a text names, if the argument takes a path; else the value itself."""
    takes_path = hint is Any or hint is Path or Path in typing.get_args(hint)
    if not (takes_path and isinstance(value, str) and value):
        return value
    path = folder / Path(value).expanduser()
    return path if path.exists() else value


def locate_setting(error: InputError, places: Mapping[str, str], otherwise: str) -> InputError:
    """Moves an error to the line of the setting that it is about, which its text begins with, as all of ours do."""
    about = error.argument or next((name for name in places if str(error).startswith(f"`{name}` ")), otherwise)
    place = find_place(places, about)
    return InputError(f"{place}: {error}" if place else str(error), argument=error.argument)


def find_place(places: Mapping[str, str], *names: str) -> str:
    """Returns the file and line of the first of some keys that has one; else those of the section, or of the file."""
    return next((places[key] for key in (*names, "chain", "model", "task") if key in places), "")
