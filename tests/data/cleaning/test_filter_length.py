"""Tests of leaving out short and long texts."""

import pytest

from tfchain.core.errors import InputError
from tfchain.data.cleaning.filter_length import FilterLength
from tfchain.data.steps.run import StepsRun

ROWS = [{"text": text} for text in ("  ab  ", "abc", "abcd e", "你好吗", "")]


def test_characters_without_spaces_around_count():
    run = StepsRun([FilterLength(least=3, most=5)])
    assert run.process(ROWS) == [ROWS[1], ROWS[3]]
    assert run.logs[0].dropped == {"too short": 2, "too long": 1}


def test_words_count_and_chinese_characters_are_words():
    assert list(FilterLength(least=2, unit="words")(ROWS)) == [ROWS[2], ROWS[3]]


def test_only_the_columns_asked_for_are_judged():
    row = {"query": "a", "positive": "abcdef"}
    assert list(FilterLength(least=3, columns=("positive",))([row])) == [row]
    assert list(FilterLength(least=3)([row])) == []


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="`most` must not be less than `least`. Received: least=5, most=3"):
        FilterLength(least=5, most=3)
    with pytest.raises(InputError, match="`unit` must be one of: characters, words. Received: unit='tokens'"):
        FilterLength(unit="tokens")
