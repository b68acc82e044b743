"""Tests of the rules of Gopher on repetition."""

import pytest

from tfchain.core.errors import InputError
from tfchain.data.cleaning.filter_repetition import FilterRepetition, find_repeated, repeated_characters
from tfchain.data.steps.run import StepsRun

OFF = {
    **dict.fromkeys(("duplicate_lines", "duplicate_line_characters", "duplicate_paragraphs")),
    **dict.fromkeys(("duplicate_paragraph_characters", "top_ngrams", "duplicate_ngrams")),
}


def reason(text, **settings):
    return FilterRepetition(**{**OFF, **settings}).reason({"text": text})


def different(count):
    return " ".join(f"w{number:03d}" for number in range(count))


def test_lines_and_paragraphs_by_hand():
    lines = "a\nb\nc\na\na"  # 2 of 5 lines repeat
    assert find_repeated(lines.split("\n")) == ["a", "a"]
    assert reason(lines, duplicate_lines=0.4) is None
    assert reason(lines, duplicate_lines=0.39) == "duplicate lines"
    long_line = f"{'x' * 30}\n{'y' * 60}\n{'x' * 30}"  # 30 of 120 characters
    assert reason(long_line, duplicate_line_characters=0.25) is None
    assert reason(long_line, duplicate_line_characters=0.24) == "characters in duplicate lines"
    paragraphs = "a\n\nb\n\na"
    assert reason(paragraphs, duplicate_paragraphs=0.3) == "duplicate paragraphs"
    assert reason(paragraphs, duplicate_paragraph_characters=0.3) == "characters in duplicate paragraphs"


def test_the_most_frequent_run_by_hand():
    # "ab cd" three times, 4 characters each, of 3 * 4 + 48 * 4 = 204
    text = f"ab cd {different(16)} ab cd {different(48)[80:]} ab cd"
    assert reason(text, top_ngrams=(12 / 204, 1, 1)) is None
    assert reason(text, top_ngrams=(11.9 / 204, 1, 1)) == "most frequent 2 words"


def test_duplicate_runs_count_overlaps_once_by_hand():
    words = ["a", "b", "c", "d", "e", "a", "b", "c", "d", "e", "f"]
    # "a b c d e" repeats, at the second place five characters
    assert repeated_characters(words, [1] * 11, 5) == 5
    # of length 3: "a b c", "b c d", "c d e" repeat and overlap: again five characters
    assert repeated_characters(words, [1] * 11, 3) == 5
    assert repeated_characters(words, [1] * 11, 6) == 0
    text = f"{different(40)} {different(10)}"  # ten of fifty words repeat: 0.2
    assert reason(text, duplicate_ngrams=(0.2,) * 6) is None
    assert reason(text, duplicate_ngrams=(0.19,) + (1,) * 5) == "duplicate runs of 5 words"
    assert reason(text, duplicate_ngrams=(1,) * 5 + (0.19,)) == "duplicate runs of 10 words"


def test_short_texts_are_judged_by_lines_alone():
    text = "ha ha ha ha"
    assert FilterRepetition().reason({"text": text}) is None
    assert FilterRepetition(min_words=2).reason({"text": text}) == "most frequent 2 words"


def test_chinese_is_compared_by_longer_runs():
    # 80 different characters, and five that stand there 4 times: a run of five is two or three words
    characters = "".join(chr(0x4E00 + 7 * number) for number in range(80))
    text = "".join(characters[i : i + 20] + "一个人民国" for i in range(0, 80, 20))
    assert reason(text, duplicate_ngrams=(0.1,) * 6) is None  # of eight characters none repeats
    assert reason(characters[:60] * 2, duplicate_ngrams=(0.1,) * 6) == "duplicate runs of 5 words"


def test_the_published_thresholds_drop_a_page_of_repetition_and_keep_prose():
    prose = "\n\n".join(different(60)[start : start + 75] for start in range(0, 300, 75))
    run = StepsRun([FilterRepetition()])
    assert run.process([{"text": prose}, {"text": "Buy this watch now, cheap. " * 20}]) == [{"text": prose}]
    # "this watch" has 9 of the 20 letters of each sentence
    assert run.logs[0].dropped == {"most frequent 2 words": 1}


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="`top_ngrams` must be 3 shares, for runs of 2, 3, 4 words, or None"):
        FilterRepetition(top_ngrams=(0.2,))
    with pytest.raises(InputError, match=r"`duplicate_lines` must be in \[0, 1\]"):
        FilterRepetition(duplicate_lines=3)
