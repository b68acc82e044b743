"""Reads the fields of a request's JSON body, each with a clear error."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from tfchain.deployment.server.text.errors import FieldError, TooMuchError

TokenIds = list[int]


class Body:
    """The fields of a request's body; fields that nobody reads are ignored.

    Args:
        values: The JSON object.
        place: What stands before the names of fields in errors, for an object within the body. Default: nothing.
    """

    def __init__(self, values: Mapping[str, Any], place: str = "") -> None:
        self._values = values
        self._place = place

    @property
    def names(self) -> list[str]:
        """The names of the fields."""
        return list(self._values)

    def get(self, name: str) -> Any:
        """Returns a field's value as it is; None if it is missing or null."""
        return self._values.get(name)

    def text(self, name: str, *, is_required: bool = False, may_be_empty: bool = False) -> str | None:
        """Returns a text; None if it is missing or null.

        Raises:
            FieldError: if it is required and missing, not a string, or empty.
        """
        value = self._values.get(name)
        if value is None and not is_required:
            return None
        if not isinstance(value, str):
            raise self._error(name, "must be a string")
        if not value and not may_be_empty:
            raise self.error(name, f"`{self._place}{name}` must not be empty.")
        return value

    def texts(self, name: str, *, most: int) -> list[str]:
        """Returns a list of texts, one or more.

        Raises:
            FieldError: if it is missing, empty, too long, or not a list of strings.
        """
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise self._error(name, "must be a list of strings")
        self.check_count(name, len(value), most)
        return value

    def check_count(self, name: str, count: int, most: int) -> None:
        """Raises if a list has no items, or more than the most."""
        if not count:
            raise self.error(name, f"`{self._place}{name}` must not be empty.")
        if count > most:
            raise TooMuchError(
                f"`{self._place}{name}` must have at most {most} items. Received: {count}. Send them in several "
                "requests.",
                self._place + name,
                reason="array_above_max_length",
            )

    def switch(self, name: str) -> bool | None:
        """Returns a boolean; None if it is missing or null."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self._error(name, "must be true or false")
        return value

    def count(self, name: str) -> int | None:
        """Returns a whole number of 1 or more; None if it is missing or null."""
        value = self._values.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise self._error(name, "must be a whole number of 1 or more")
        return value

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """Returns a word out of some; None if it is missing or null."""
        value = self._values.get(name)
        if value is not None and not (isinstance(value, str) and value in choices):
            raise self._error(name, f"must be one of {', '.join(choices)}")
        return value

    def object(self, name: str, *, is_required: bool = False) -> "Body":
        """Returns an object within the body; an empty one if it is missing or null."""
        value = self._values.get(name)
        if value is None and not is_required:
            value = {}
        if not isinstance(value, dict):
            raise self._error(name, "must be an object")
        return Body(value, f"{self._place}{name}.")

    def inputs(self, name: str, *, most: int) -> list[str] | list[TokenIds]:
        """Returns texts or token ids: a string, a list of strings, a list of ids, or a list of such lists.

        Raises:
            FieldError: if it is missing, empty, too long, or of another type.
        """
        value = self._values.get(name)
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            raise self._error(name, "must be a string, a list of strings, a list of token ids or a list of these")
        if value and all(_is_id(token) for token in value):
            return [value]
        self.check_count(name, len(value), most)
        if all(isinstance(text, str) for text in value):
            return value
        if all(isinstance(text, list) and text and all(map(_is_id, text)) for text in value):
            return value
        raise self._error(name, "must have strings only, or non-empty lists of token ids only")

    def error(self, name: str, message: str) -> FieldError:
        """Returns the error of a field."""
        return FieldError(message, self._place + name)

    def _error(self, name: str, expected: str) -> FieldError:
        if name not in self._values:
            return self.error(name, f"`{self._place}{name}` is missing: it {expected}.")
        return self.error(name, f"`{self._place}{name}` {expected}. Received: {_show(self._values[name])}.")


def read_body(body: bytes) -> Body:
    """Reads a body, which must be a JSON object.

    Raises:
        FieldError: if it is not.
    """
    try:
        value = json.loads(body)
    except RecursionError:
        raise FieldError("The body is nested too deeply.", None) from None
    except ValueError as error:
        raise FieldError(f"The body must be JSON. {error}.", None) from None
    if not isinstance(value, dict):
        raise FieldError(f"The body must be a JSON object. Received: {_show(value)}.", None)
    return Body(value)


def _is_id(token: Any) -> bool:
    return isinstance(token, int) and not isinstance(token, bool)


def _show(value: Any) -> str:
    try:
        text = json.dumps(value)
    except RecursionError:
        return "a deeply nested value"
    return text if len(text) <= 100 else text[:100] + "…"
