"""Check digits of numbers that name people and accounts, by python-stdnum: its one door."""

from functools import cache
from importlib import import_module
from typing import Any

from tfchain.core.errors import MissingPackageError


def is_valid_number(module: str, number: str) -> bool:
    """Returns whether a number has the form, the dates and the check digits that a standard asks for.

    Args:
        module: The standard's module in python-stdnum, such as `luhn`, `iban` or `cn.ric`.
        number: The number, with or without separators.

    Raises:
        MissingPackageError: if python-stdnum is not installed.
    """
    return bool(load_standard(module).is_valid(number))


@cache
def load_standard(module: str) -> Any:
    """Imports a standard's module."""
    try:
        return import_module(f"stdnum.{module}")
    except ImportError as error:
        raise MissingPackageError(
            f"Checking the digits of cards, accounts and ids needs the package python-stdnum. Received: {error}. "
            "Install it with `pip install 'tfchain[data]'`."
        ) from error
