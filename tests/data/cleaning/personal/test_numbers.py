"""Tests of the door to python-stdnum."""

import sys

import pytest

from tfchain.core.errors import MissingPackageError
from tfchain.data.cleaning.personal.numbers import is_valid_number, load_standard


def test_check_digits_by_hand():
    # Luhn: 7992739871 gives the check digit 3 (the standard's example)
    assert is_valid_number("luhn", "79927398713")
    assert not is_valid_number("luhn", "79927398710")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "stdnum.luhn", None)
    load_standard.cache_clear()
    with pytest.raises(MissingPackageError, match=r"needs the package python-stdnum.*pip install 'tfchain\[data\]'"):
        is_valid_number("luhn", "1")
