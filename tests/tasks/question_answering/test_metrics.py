"""SQuAD's and CMRC's metrics, each value worked out by hand."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.question_answering.cmrc_metrics import cmrc_exact_match, cmrc_f1, cut, find_longest_run
from tfchain.tasks.question_answering.metrics import check_metrics, measure, measure_all
from tfchain.tasks.question_answering.questions import Question
from tfchain.tasks.question_answering.squad_metrics import exact_match, f1, normalize_answer


def test_answers_are_compared_without_case_punctuation_articles_and_white_space() -> None:
    assert normalize_answer("  The  Broncos'  A-team, an\tU.S. one. ") == "broncos ateam us one"
    assert normalize_answer("theatre anthem") == "theatre anthem"  # articles are words
    assert exact_match("the Cat!", ["dog", "Cat"]) == 1
    assert exact_match("the cats", ["dog", "cat"]) == 0


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        ("Denver Broncos team", ["the Denver Broncos"], 0.8),  # 2 of 3 words, 2 of 2
        ("Denver Broncos team", ["x", "Denver", "the Denver Broncos"], 0.8),  # the best of 0, 0.5 and 0.8
        ("cat cat dog", ["cat dog dog"], 2 / 3),  # each word as often as in both: cat once, dog once
        ("a stock", ["fell"], 0.0),
        ("", ["fell"], 0.0),
        ("", [], 1.0),  # SQuAD 2: no answer, and none given
        ("fell", [], 0.0),
        ("the", ["an"], 1.0),  # nothing is left of either
    ],
)
def test_f1_of_words(answer: str, right: list[str], expected: float) -> None:
    assert f1(answer, right) == pytest.approx(expected)


def test_chinese_characters_are_parts_and_so_are_words_of_other_scripts() -> None:
    assert cut("在1963年，Tom's 3.5分。") == ["在", "1963", "年", "tom's", "3.5", "分"]
    assert cut("光荣和ω-Force") == ["光", "荣", "和", "ωforce"]


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        ("光荣和ω-force", ["光荣"], 2 / 3),  # 2 of 4 parts, 2 of 2
        ("甲乙丙丁", ["甲丙乙丁"], 0.25),  # a run is one after the other: of one
        ("甲乙丙丁", ["甲丙乙丁", "乙丙"], 2 / 3),
        ("丙", ["甲"], 0.0),
        ("", [], 1.0),
        ("丙", [], 0.0),
    ],
)
def test_f1_of_the_longest_run(answer: str, right: list[str], expected: float) -> None:
    assert cmrc_f1(answer, right) == pytest.approx(expected)


def test_chinese_punctuation_does_not_count() -> None:
    assert cmrc_exact_match("《战国》。", ["光荣", "战国"]) == 1
    assert cmrc_exact_match("战国三", ["战国"]) == 0
    assert find_longest_run("abcde", "xbcdy") == 3
    assert find_longest_run("", "a") == 0


def test_metrics_are_means_of_the_questions_that_they_count() -> None:
    questions = [Question("q", "c", ("the cat",)), Question("q", "c", ("stocks fell",)), Question("q", "c")]
    answers = ["cat", "stocks", "dog"]
    found = measure_all(["exact_match", "f1", "has_answer_f1", "no_answer_accuracy"], answers, questions)
    assert found["exact_match"] == pytest.approx(1 / 3)
    assert found["f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found["has_answer_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["no_answer_accuracy"] == 0
    np.testing.assert_allclose(measure("f1", answers, questions), [1, 2 / 3, 0])
    assert measure_all(["no_answer_accuracy"], answers[:1], questions[:1]) == {"no_answer_accuracy": 0}
    with pytest.raises(InputError, match="`metrics` must be among exact_match, f1, .* Received: bleu"):
        check_metrics(["f1", "bleu"])
