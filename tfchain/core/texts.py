"""Texts as users give them: lists of them, queries, and what UTF-8 cannot hold; chain and client share the checks."""

from collections.abc import Iterable, KeysView, Mapping, Set
from typing import Any

from tfchain.core.errors import InputError


def check_texts(texts: Any) -> list[str]:
    """The texts as a list.

    Args:
        texts: Any iterable of strings that has an order, such as a list, a generator or a NumPy array.

    Raises:
        InputError: if one is not a string, or they have no order.
    """
    if not _has_order(texts):
        raise InputError(
            "`texts` must be a string or a list of strings. "
            f"Received: {type(texts).__name__}."
            + (
                " Decode them first."
                if isinstance(texts, bytes | bytearray)
                else " Make a list of them, whose order the vectors keep."
            )
        )
    items = list(texts)
    for number, text in enumerate(items):
        if not isinstance(text, str):
            raise InputError(
                f"Each text must be a string. Received: {text!r:.100} of type {type(text).__name__} at place {number}. "
                "Convert it to text first."
            )
    return items


def check_queries(queries: Any) -> list[str]:
    """The queries as a list.

    Args:
        queries: Any iterable of strings, such as a list or a NumPy array; or one string.

    Raises:
        InputError: if one is not a string, or has nothing but white space.
    """
    if not isinstance(queries, str) and not _has_order(queries):
        raise InputError(f"A query must be a string or a list of strings. Received: {type(queries).__name__}.")
    items = [queries] if isinstance(queries, str) else list(queries)
    for number, text in enumerate(items):
        if not isinstance(text, str):
            raise InputError(
                f"A query must be a string. Received: {text!r:.100} of type {type(text).__name__} at place {number}."
            )
        if not text.strip():
            raise InputError(f"A query must not be empty. Received: {text!r} at place {number}. Ask for something.")
    return [str(text) for text in items]  # NumPy's strings print otherwise


def replace_surrogates(text: str) -> str:
    """The text as UTF-8 can hold it.

    A lone surrogate, half of a character of UTF-16, becomes the replacement character, as TensorFlow reads it; two
    halves that belong together become their character.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if has_surrogate(text) else text


def has_surrogate(text: str) -> bool:
    """Whether the text holds surrogates, and so cannot be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _has_order(texts: Any) -> bool:
    """Whether something gives one text after the other, in an order of its own."""
    unordered = isinstance(texts, Mapping) or (isinstance(texts, Set) and not isinstance(texts, KeysView))
    is_other = unordered or isinstance(texts, bytes | bytearray | memoryview)
    return isinstance(texts, Iterable) and not is_other and getattr(texts, "ndim", 1) > 0
