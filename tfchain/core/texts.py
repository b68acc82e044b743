"""Checks of texts and queries as users give them, which chain and client share, and characters UTF-8 cannot hold."""

from collections.abc import Iterable, KeysView, Mapping, Set
from typing import Any

from tfchain.core.errors import InputError


def check_texts(texts: Any) -> list[str]:
    """Returns texts as a list.

    Args:
        texts: Any ordered iterable of strings, such as a list, a generator or a NumPy array.

    Raises:
        InputError: if a text is not a string, or the iterable has no order.
    """
    if not _has_order(texts):
        raise InputError(
            "`texts` must be a string or a list of strings. "
            f"Received: {type(texts).__name__}."
            + (
                " Decode them first."
                if isinstance(texts, bytes | bytearray)
                else " Make a list of them: the vectors come in its order."
            )
        )
    items = list(texts)
    for number, text in enumerate(items):
        if not isinstance(text, str):
            raise InputError(
                f"Each text must be a string. Received: {text!r:.100} of type {type(text).__name__} at position "
                f"{number}. Convert it to text first."
            )
    return items


def check_queries(queries: Any) -> list[str]:
    """Returns queries as a list.

    Args:
        queries: Any ordered iterable of strings, such as a list or a NumPy array; or a single string.

    Raises:
        InputError: if a query is not a string, or is empty or only white space, or if the iterable has no order.
    """
    if not isinstance(queries, str) and not _has_order(queries):
        raise InputError(f"A query must be a string or a list of strings. Received: {type(queries).__name__}.")
    items = [queries] if isinstance(queries, str) else list(queries)
    for number, text in enumerate(items):
        if not isinstance(text, str):
            raise InputError(
                f"A query must be a string. Received: {text!r:.100} of type {type(text).__name__} at position {number}."
            )
        if not text.strip():
            raise InputError(f"A query must not be empty. Received: {text!r} at position {number}. Ask for something.")
    return [str(text) for text in items]  # NumPy's strings print differently


def replace_surrogates(text: str) -> str:
    """Returns a text that can be encoded as UTF-8.

    A lone surrogate (half of a UTF-16 character) becomes the replacement character, as in TensorFlow; two matching
    halves become their character.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if has_surrogate(text) else text


def has_surrogate(text: str) -> bool:
    """Returns whether the text contains surrogates, and so cannot be encoded as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _has_order(texts: Any) -> bool:
    """Returns whether a value is an iterable with a defined order."""
    unordered = isinstance(texts, Mapping) or (isinstance(texts, Set) and not isinstance(texts, KeysView))
    is_other = unordered or isinstance(texts, bytes | bytearray | memoryview)
    return isinstance(texts, Iterable) and not is_other and getattr(texts, "ndim", 1) > 0
