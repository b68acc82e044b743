"""The ids of documents and queries as users give them: strings, or whole numbers, which become decimal text."""

import operator
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from tfchain.core.errors import InputError


def to_id(value: Any, what: str = "An id") -> str:
    """Returns an id as a string.

    Args:
        value: A string, a whole number of Python's or NumPy's, or a UUID.
        what: What it is, for the error. Default: `An id`.

    Raises:
        InputError: if the value has another type, or is empty.

    Example:
        >>> to_id(7), to_id("7")
        ('7', '7')
    """
    if isinstance(value, str):
        if not value:
            raise InputError(f"{what} must not be empty. Received: ''. Give it a name.")
        return str(value)  # NumPy's strings print otherwise
    if isinstance(value, uuid.UUID):
        return str(value)
    if not isinstance(value, bool) and hasattr(value, "__index__"):
        try:
            return str(operator.index(value))
        except TypeError:  # an array, not a number
            pass
    raise InputError(
        f"{what} must be a string or a whole number. Received: {value!r:.100} of type {type(value).__name__}. "
        "Convert it to text, with str(…) for example, in the same way as when the document was added."
    )


def to_ids(values: Any) -> list[str]:
    """Returns one or several ids as a list, for an argument `ids`.

    Args:
        values: An id, or an iterable of ids: a list, a set, an array, a generator.

    Raises:
        InputError: if the value has another type.
    """
    if isinstance(values, str) or (not isinstance(values, Iterable) and hasattr(values, "__index__")):
        return [to_id(values)]
    is_table = hasattr(values, "columns")
    if isinstance(values, bytes | bytearray | Mapping) or is_table or not isinstance(values, Iterable):
        hint = " Give the column that holds the ids." if is_table else ""
        raise InputError(f"`ids` must be an id or a list of them. Received: {type(values).__name__}.{hint}")
    return [to_id(value) for value in values]


def with_ids(values: Any, name: str) -> dict[str, Any]:
    """Returns a mapping with its keys as ids.

    Args:
        values: A mapping from ids.
        name: The argument, for the error.

    Raises:
        InputError: if it is not a mapping, a key is not an id, or two keys are the same id.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"`{name}` must be a dict by id. Received: {type(values).__name__}.")
    found: dict[str, Any] = {}
    for key, value in values.items():
        id = to_id(key, f"A key of `{name}`")
        if id in found:
            raise InputError(f"`{name}` must have each id once. Received: {id!r} as a number and as text. Keep one.")
        found[id] = value
    return found
