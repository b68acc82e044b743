"""Tests of the checks of settings."""

import pytest

from tfchain.core.errors import InputError
from tfchain.data.cleaning.setting_checks import check_count, check_names, check_share, check_word


def test_values_in_range_pass():
    check_share("a", 0)
    check_share("a", 1.0)
    check_share("a", None)
    check_count("a", 3, least=3)
    check_count("a", None)
    check_names("a", ("x",), ("x", "y"))
    check_word("a", "x", ("x", "y"))


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_share("a", -0.1), r"`a` must be in \[0, 1\], or None to switch the rule off. Received: a=-0.1"),
        (lambda: check_share("a", True), "Received: a=True"),
        (lambda: check_share("a", None, optional=False), r"`a` must be in \[0, 1\]. Received: a=None"),
        (lambda: check_count("a", 2.0), "`a` must be a whole number of at least 0, or None to switch the rule off"),
        (lambda: check_count("a", 0, optional=False, least=1), "a whole number of at least 1. Received: a=0"),
        (lambda: check_names("a", "x", ("x", "y")), "`a` must be a list of some of: x, y. Received: a='x'"),
        (lambda: check_names("a", ("z",), ("x", "y")), "Received: a=\\('z',\\)"),
        (lambda: check_word("a", "z", ("x", "y")), "`a` must be one of: x, y. Received: a='z'"),
    ],
)
def test_other_values_are_refused(check, message):
    with pytest.raises(InputError, match=message):
        check()
