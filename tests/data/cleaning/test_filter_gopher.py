"""Tests of the rules of Gopher on quality."""

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.cleaning.filter_gopher import FilterGopher
from tfchain.data.steps.run import StepsRun

PROSE = "The committee that met on Monday agreed with the proposal of the council to have more parks. " * 4
CHINESE = "委员会在星期一的会议上同意了市议会关于增加公园的提案，并且决定在明年春天开始建设。" * 3
OFF = dict.fromkeys(("min_words", "max_words", "min_mean_length", "max_mean_length", "max_symbols"))
OFF |= dict.fromkeys(("max_bullet_lines", "max_ellipsis_lines", "min_alphabetic", "min_stop_words"))


def reason(text, **settings):
    return FilterGopher(**{**OFF, **settings}).reason({"text": text})


def test_prose_passes_in_english_and_in_chinese():
    assert list(FilterGopher()([Document("1", PROSE), Document("2", CHINESE)])) != []
    assert len(list(FilterGopher()([{"text": PROSE}, {"text": CHINESE}]))) == 2


@pytest.mark.parametrize(
    ("text", "settings", "rule"),
    [
        ("a b c", {"min_words": 4}, "too few words"),
        ("a b c", {"max_words": 2}, "too many words"),
        ("你好吗", {"min_words": 4}, "too few words"),
        ("ab cd", {"min_mean_length": 2.1}, "words too short"),
        ("abcd ef", {"max_mean_length": 2.9}, "words too long"),
        ("# a b c # d", {"max_symbols": 0.3}, "too many symbols"),  # 2 for 6 words
        ("a ... b ...", {"max_symbols": 0.4}, "too many symbols"),  # 2 for 4 words
        ("- a\n* b\n• c\nd", {"max_bullet_lines": 0.7}, "too many bullets"),
        ("a...\nb…\nc", {"max_ellipsis_lines": 0.6}, "too many ellipses"),
        ("a 1 2 3", {"min_alphabetic": 0.3}, "too few words with letters"),
        ("The cat sat. The!", {"min_stop_words": 2}, "too few stop words"),
        ("委员会同意提案", {"min_stop_words": 1}, "too few stop words"),
    ],
)
def test_each_rule_by_hand(text, settings, rule):
    assert reason(text, **settings) == f"gopher: {rule}"
    assert reason(text) is None


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("a b c", {"min_words": 3, "max_words": 3}),
        ("ab cd", {"min_mean_length": 2, "max_mean_length": 2}),
        ("你好", {"min_mean_length": 3}),
        ("# a b c # d", {"max_symbols": 0.34}),
        ("- a\n* b\n• c\nd", {"max_bullet_lines": 0.75}),
        ("Be with me", {"min_stop_words": 2}),
        ("Der Hund und die Katze", {"min_stop_words": 2, "stop_words": ("der", "und", "die")}),
    ],
)
def test_a_text_at_the_threshold_passes(text, settings):
    assert reason(text, **settings) is None


def test_reasons_are_counted():
    run = StepsRun([FilterGopher()])
    run.process([{"text": "short"}])
    assert run.logs[0].dropped == {"gopher: too few words": 1}


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="`min_mean_length` must be greater than 0. Received: min_mean_length=0"):
        FilterGopher(min_mean_length=0)
    with pytest.raises(InputError, match="`stop_words` must be a list of words. Received: stop_words='the'"):
        FilterGopher(stop_words="the")
