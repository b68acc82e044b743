"""Tests of leaving out texts of symbols and digits."""

import pytest

from tfchain.core.errors import InputError
from tfchain.data.cleaning.filter_symbols import FilterSymbols
from tfchain.data.steps.run import StepsRun


def reason(text, **settings):
    return FilterSymbols(**settings).reason({"text": text})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab &*", "too many symbols"),  # 2 of 4 characters
        ("abc &*", None),  # 2 of 5: 0.4
        ("a1 b234 c5", "too many digits"),  # 5 of 8
        ("Stop" + "!" * 21 + "x" * 60, "one symbol repeated"),
        ("Stop" + "!" * 20 + "x" * 60, None),
        ("Title\n" + "-" * 40 + "\n" + "word " * 30, None),  # a rule, as a line of its own
        ("价格：￥100，优惠！", None),  # 4 of 11
        ("मुझे हिन्दी में लिखना अच्छा लगता है", None),  # vowel signs are no symbols
        ("", None),
        ("a_b_c_d_", "too many symbols"),  # 4 of 8
    ],
)
def test_shares_by_hand(text, expected):
    assert reason(text) == expected


def test_rules_can_be_switched_off():
    assert reason("&&& 12345", max_symbols=None, max_digits=None) is None
    assert reason("x" + "!" * 50, max_symbols=None, max_run=None) is None


def test_reasons_are_counted():
    run = StepsRun([FilterSymbols()])
    assert run.process([{"text": "words"}, {"text": "@#$%"}]) == [{"text": "words"}]
    assert run.logs[0].dropped == {"too many symbols": 1}


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match=r"`max_symbols` must be in \[0, 1\], or None to switch the rule off"):
        FilterSymbols(max_symbols=40)
