"""Tests of the parts of a report that have rules of their own: ranks, tokens, languages, labels, skew, words."""

import numpy as np
import pytest

from tfchain.data.checks.finding import Findings
from tfchain.data.checks.kinds import SEVERITIES
from tfchain.data.checks.labels import measure_labels
from tfchain.data.checks.languages import measure_languages, name_language
from tfchain.data.checks.material import CheckedSet, Material, spread
from tfchain.data.checks.ranking import rank_by_vectors
from tfchain.data.checks.report_html import VERDICTS, count_of, place_of
from tfchain.data.checks.report_text import STYLES, shorten, to_line
from tfchain.data.checks.row_reader import RowReader, listed, listed_texts, to_label, to_score, to_text
from tfchain.data.checks.set_skew import find_skew
from tfchain.data.checks.tokens import COUNTED_AT_ONCE, make_counter


def make_material(**rows: list) -> Material:
    material = Material()
    for name, given in rows.items():
        checked = material.sets[name] = CheckedSet(name)
        for place, row in enumerate(given):
            RowReader(checked, material.pool).add(f"{name}[{place}]", row)
    return material


def test_ranks_by_vectors_begin_at_one_and_equal_cosines_share_the_best() -> None:
    documents = np.array([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    queries = np.array([[1.0, 0.0]] * 4)

    assert rank_by_vectors(queries, documents, [0, 1, 2, 3]) == [1, 1, 3, 4]


def test_tokens_are_counted_in_parts_and_text_is_lowered_as_the_chain_does() -> None:
    class Inner:
        unk_token_id = 9

        def num_special_tokens_to_add(self, pair):
            return 2

        def __call__(self, texts, **options):
            assert len(texts) <= COUNTED_AT_ONCE
            return {"input_ids": [[9 if word.isupper() else 1 for word in text.split()] for text in texts]}

    class Chained:
        tokenizer, max_length, do_lower_case = Inner(), 32, True

    plain, lowered = make_counter(Inner(), None, None), make_counter(Chained(), None, None)

    assert plain.count_all(["a B", "", "C \ud83d"] * 1000)[:3] == [(2, 1), (0, 0), (2, 1)]
    assert lowered.count_all(["a B"]) == [(2, 0)]
    assert (plain.max_length, lowered.max_length) == (None, 30)
    assert make_counter(Chained(), None, 12).max_length == 10
    assert make_counter(None, None, 12) is None
    assert make_counter(None, lambda texts: [1] * len(texts), 12).knows_unknown is False


def test_languages_of_short_texts_are_not_guessed() -> None:
    material = make_material(
        train=["nineteen characters", "twenty characters !!", "九个字的中文句子啊", "十个字的中文句子啊啊"]
    )
    asked = []

    def detect(text):
        asked.append(text)
        return "xx", 0.5

    ((languages, finding),) = measure_languages(material, detect, 10, Findings(5))

    assert asked == ["twenty characters !!", "十个字的中文句子啊啊"]
    assert (languages.counts, finding.count) == ({"xx": 2}, 0)
    assert name_language(lambda text: "en", "x") == "en"


def test_labels_at_a_tenth_of_the_most_frequent_are_not_rare() -> None:
    rows = [{"text": "x", "label": label} for label in ["a"] * 20 + ["b"] * 2 + ["c"] + [None]]
    ((labels, finding),) = measure_labels(make_material(train=rows), Findings(5))

    assert labels.counts == {"a": 20, "b": 2, "c": 1}
    assert [example.ids for example in finding.examples] == [("c",)]
    assert (finding.count, finding.total) == (1, 23)


def test_sets_of_few_texts_are_not_compared() -> None:
    options = {"counter": None, "detect_language": None, "encode": None, "sample": 100, "findings": Findings(5)}

    assert list(find_skew(make_material(train=["a"] * 30, evaluation=["b"] * 19), **options)) == []
    assert list(find_skew(make_material(train=["a"] * 30), **options)) == []
    (finding,) = find_skew(make_material(train=["a"] * 30, evaluation=["b c d"] * 20), **options)
    assert finding.severity == "stop"
    assert "words: psi" in finding.note


def test_an_evenly_spaced_sample_has_the_first_and_no_place_twice() -> None:
    assert list(spread(10, 4)) == [0, 2, 5, 7]
    assert list(spread(3, 4)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "text", "label", "score"),
    [
        (None, "", None, None),
        (3, "3", "3", 3.0),
        ("0.5", "0.5", "0.5", 0.5),
        ("yes", "yes", "yes", None),
        (np.str_("x"), "x", "x", None),
    ],
)
def test_cells_become_texts_labels_and_scores(value, text, label, score) -> None:
    assert to_text(value) == text
    assert to_label(value) == label
    assert to_score(value) == score


def test_lists_of_cells() -> None:
    assert to_label(["b", "a"]) == "a, b"
    assert listed([{"a": 1}, 2]) == [{"a": 1}]
    assert listed_texts(np.array(["a", "b"])) == ["a", "b"]
    assert listed_texts("a") == ["a"]
    assert listed_texts(None) == []


def test_words_of_a_report() -> None:
    finding = Findings(5).make("leaked_text", ["evaluation", "train"], "queries", count=1, total=2000)

    assert (place_of(finding), count_of(finding)) == ("queries of evaluation and train", "1 of 2,000 (<0.1%)")
    assert set(VERDICTS) == set(STYLES) == set(SEVERITIES)
    assert to_line("a\x1b[31m\n b\t") == "a [31m b"
    assert len(shorten("x" * 500)) == 120
