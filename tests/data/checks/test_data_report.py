"""Tests of the data report: each kind of finding on rows whose faults are known."""

import logging
from pathlib import Path

import numpy as np
import pytest

import tfchain
from tfchain.core.errors import InputError
from tfchain.data.checks.data_report import data_report
from tfchain.data.checks.finding import Finding
from tfchain.data.checks.kinds import KINDS, Kind
from tfchain.data.checks.options import ReportOptions
from tfchain.data.checks.report import DataReport
from tfchain.data.documents.beir import to_dataset

LONG = "the quick brown fox jumps over the lazy dog while the small grey cat sleeps in the warm sun"
NEAR = LONG.replace("grey", "white")
ALL = ReportOptions(num_examples=None)


def ids(finding: Finding) -> list[tuple[str, ...]]:
    return [example.ids for example in finding.examples]


def test_the_public_name_is_this_function() -> None:
    assert tfchain.data_report is data_report


def test_leaks_are_found_as_they_are_and_nearly() -> None:
    report = data_report(
        train=[{"text": "How are you?"}, {"text": LONG}, {"text": "alone"}],
        evaluation=[{"text": " how ARE you? "}, {"text": NEAR}, {"text": "else"}, {"text": ""}],
    )

    leaked, near = report.find("leaked_text"), report.find("near_leaked_text")
    assert (leaked.count, leaked.total, leaked.severity) == (1, 4, "stop")
    assert ids(leaked) == [("evaluation[0]", "train[0]")]
    assert ids(near) == [("evaluation[1]", "train[1]")]
    assert near.examples[0].detail == "similarity 0.80"  # of 18 and 18 pairs of words 16 are shared: 16 / 20
    assert report.severity == "stop"


def test_a_text_is_near_to_all_that_have_the_same_words_as_one_that_is_near() -> None:
    report = data_report(train=[LONG.upper().replace(" ", "  ")], evaluation=[LONG + "!", NEAR])

    assert ids(report.find("near_leaked_text")) == [("evaluation[0]", "train[0]"), ("evaluation[1]", "train[0]")]


def test_repeated_questions_say_how_many_documents_they_are_asked_of() -> None:
    report = data_report(
        train=[
            {"query": "Who?", "positive": "a"},
            {"query": "who? ", "positive": "a"},
            {"query": "When?", "positive": "a"},
            {"query": "When?", "positive": "b"},
            {"query": "When?", "positive": "c"},
            {"query": "Who?", "positive": "a"},
        ]
    )

    repeated = report.find("repeated_question")
    assert (repeated.count, repeated.total, repeated.values["copies"]) == (2, 2, 4)
    assert repeated.note == "1 of one document, 1 of several documents."
    assert ids(report.find("duplicate_row")) == [("train[1]", "train[0]"), ("train[5]", "train[0]")]


def test_empty_and_repeated_and_nearly_repeated_documents() -> None:
    corpus = [
        {"id": "a", "text": LONG},
        {"id": "b", "text": NEAR},
        {"id": "c", "text": LONG.upper()},
        {"id": "d", "text": " "},
    ]
    report = data_report(corpus=corpus)

    assert ids(report.find("empty_text")) == [("d",)]
    assert ids(report.find("duplicate_document")) == [("a", "c")]
    assert ids(report.find("near_duplicate")) == [("b", "a")]


def test_documents_relevant_in_both_and_queries_that_are_documents() -> None:
    report = data_report(
        train=to_dataset(queries={"t": "one thing"}, qrels={"t": {"d1": 1, "d2": 0}}),
        corpus=[{"id": "d1", "text": "x"}, {"id": "d2", "text": "y"}, {"id": "d3", "text": LONG}],
        evaluation=to_dataset(queries={"e": NEAR, "f": "other"}, qrels={"e": {"d1": 2, "d2": 1}, "f": {"gone": 1}}),
    )

    assert ids(report.find("shared_document")) == [("d1",)]
    assert report.find("shared_document").total == 2
    assert ids(report.find("query_in_corpus", "evaluation", "corpus")) == [("e", "d3")]
    assert report.find("query_in_corpus", "train", "corpus").count == 0
    assert ids(report.find("missing_document", "evaluation", "corpus")) == [("gone",)]


def test_contradicting_judgments_across_sets_and_labels() -> None:
    report = data_report(
        train=[{"query": "q", "positive": "d", "label": 1}, {"query": "q", "positive": "e", "label": 0}],
        evaluation=[{"query": "Q ", "positive": "d", "label": 0}, {"query": "q", "positive": "e", "label": 0}],
    )
    assert ids(report.find("contradicting_judgment")) == [("train[0]", "evaluation[0]")]

    report = data_report(
        train=[{"text": "a", "label": "x"}, {"text": "A", "label": "x"}, {"text": LONG, "label": "x"}],
        evaluation=[{"text": "a ", "label": "y"}, {"text": NEAR, "label": "y"}],
    )
    labels = report.find("contradicting_label")
    assert (labels.count, labels.total) == (1, 3)
    assert labels.examples[0].detail == "x / y"
    assert ids(report.find("near_contradicting_label")) == [("train[2]", "evaluation[1]")]


def test_negatives_that_are_relevant() -> None:
    report = data_report(
        train=[
            {"query": "one", "positive": LONG, "negative_1": "no", "negative_2": NEAR},
            {"query": "two", "positive": "a", "negative_1": "b", "negative_2": "c"},
            {"query": "three", "positive": "a", "negative_1": "b", "negative_2": "A"},
        ],
        evaluation=[{"query": "Two", "positive": "c"}],
    )

    found = report.find("false_negative")
    assert (found.count, found.total) == (3, 6)
    assert [(example.ids[0], example.detail) for example in found.examples] == [
        ("train[0]", "similarity 0.80 to a positive"),
        ("train[1]", "judged relevant"),
        ("train[2]", "judged relevant"),
    ]


def test_positives_that_searches_rank_badly() -> None:
    documents = [f"number{place} word" for place in range(60)]
    rows = [{"query": f"number{place}", "positive": documents[place]} for place in range(60)]
    rows[7]["positive"] = documents[8]

    def encode(texts):
        """All alike, but for the ninth document and its query."""
        return np.array([[1.0, float("number9" in text.split())] for text in texts])

    report = data_report(corpus=documents, train=rows, encode=encode, options=ALL)

    by_words, by_model, by_both = (finding for finding in report.findings if finding.kind == "badly_ranked_positive")
    assert ids(by_words) == [("train[7]",)]
    assert by_words.examples[0].detail == "rank 2 of 60"  # one document has the query's word, this one has not
    assert by_model.count == by_both.count == 0
    assert [ranks.method for ranks in report.ranks] == ["bm25", "model", "both"]
    assert report.ranks[0].ranks.count(1) == 59


def test_the_same_meaning_is_found_by_vectors_and_equal_texts_are_not_counted_again() -> None:
    vectors = {"car": [1, 0], "automobile": [0.99, 0.05], "banana": [0, 1]}
    report = data_report(
        train=["car"],
        evaluation=["automobile", "banana", "Car"],
        encode=lambda texts: np.array([vectors[text.lower()] for text in texts], float),
    )

    found = report.find("semantic_leak")
    assert (found.count, found.total) == (1, 2)
    assert found.examples[0].detail == "cosine 0.999"


def test_lengths_truncation_and_unknown_tokens_of_a_tokenizer() -> None:
    class Tokenizer:
        unk_token_id, model_max_length = 0, 6

        def num_special_tokens_to_add(self, pair):
            return 2

        def __call__(self, texts, **options):
            assert options["truncation"] is options["add_special_tokens"] is False
            return {"input_ids": [[0 if word == "zzz" else 1 for word in text.split()] for text in texts]}

    report = data_report(train=["one two", "one two three four five", "zzz b"], tokenizer=Tokenizer())

    truncated, unknown = report.find("truncated_text"), report.find("unknown_tokens")
    assert (truncated.count, truncated.total, truncated.examples[0].ids) == (1, 3, ("train[1]",))
    assert truncated.examples[0].detail == "5 tokens"
    assert truncated.values == {"max_length": 4, "share_of_tokens": 1 / 9}
    assert (unknown.count, unknown.total, unknown.severity) == (1, 9, "stop")
    assert report.lengths[0].histogram.counts == (2, 0, 0, 1)  # lengths 2, 3, 4, 5
    assert report.lengths[0].histogram.edges == (2, 3, 4, 5, 6)


def test_a_function_counts_tokens_and_characters_are_the_last_resort() -> None:
    counted = data_report(train=["a b", "c"], count_tokens=lambda texts: [len(text.split()) for text in texts])
    plain = data_report(train=["a b", "c"])

    assert (counted.lengths[0].unit, counted.lengths[0].histogram.quantiles["1.0"]) == ("tokens", 2)
    assert (plain.lengths[0].unit, plain.lengths[0].histogram.quantiles["1.0"]) == ("characters", 3)


def test_languages_are_counted_and_the_odd_ones_named() -> None:
    texts = ["this is an English text"] * 9 + ["ceci est du français", "short", "这是一个中文的句子啊"]

    def detect(text):
        return ("fr", 0.9) if "est" in text else "zh" if "中" in text else "en"

    report = data_report(train=texts, detect_language=detect)
    mixed = data_report(train=texts[:1] + texts[9:10], detect_language=detect)

    assert ids(report.find("other_language")) == [("train[9]",), ("train[11]",)]
    assert report.languages[0].counts == {"en": 9, "fr": 1, "zh": 1}
    assert mixed.find("other_language").count == 0


def test_rare_labels() -> None:
    rows = [{"text": f"text {place}", "label": "often" if place < 50 else "rare"} for place in range(54)]
    finding = data_report(train=rows).find("label_imbalance")

    assert (finding.count, finding.total) == (4, 54)
    assert finding.examples[0].ids == ("rare",)
    assert finding.values["ratio"] == 12.5


def test_skew_between_training_and_evaluation_is_one_finding_of_each_role() -> None:
    rows = [{"text": f"some text {place}", "label": "a"} for place in range(40)]
    other = [{"text": f"another and much longer text {place}", "label": "b"} for place in range(40)]

    skew = data_report(train=rows, evaluation=other).find("skew")

    assert (skew.severity, skew.what) == ("stop", "features of texts")
    assert skew.values["label psi"] > 0.25
    assert data_report(train=rows, evaluation=rows).find("skew").severity == "ok"


def test_every_check_says_that_it_ran_and_the_worst_come_first() -> None:
    report = data_report(train=[{"text": "a", "label": "x"}, {"text": "b", "label": "x"}], evaluation=["a"])

    assert report.find("contradicting_label").count == 0
    assert report.find("contradicting_label").severity == "ok"
    order = [finding.severity for finding in report.findings]
    assert order == sorted(order, key=["stop", "look", "ok"].index)
    assert report.findings[0].kind == "leaked_text"
    with pytest.raises(InputError, match="Expected one finding 'semantic_leak'.* Received: 0. There are: "):
        report.find("semantic_leak")


def test_examples_are_as_many_as_asked_for_and_texts_are_cut() -> None:
    texts = ["x" * 400] * 2 + [f"{place}" for place in range(9)] * 2
    assert len(data_report(train=texts, options=ReportOptions(num_examples=2)).find("repeated_text").examples) == 2
    found = data_report(train=texts, options=ALL).find("repeated_text")
    assert (found.count, len(found.examples)) == (10, 10)
    assert len(found.examples[0].texts[0]) == 300


def test_the_same_data_gives_the_same_report_in_any_order_of_checks(tmp_path: Path) -> None:
    rows = [{"text": f"{LONG} {place % 7}", "label": str(place % 3)} for place in range(40)]
    one, two = (data_report(train=rows, evaluation=rows[::3]).to_dict() for _ in range(2))

    assert {**one, "seconds": 0} == {**two, "seconds": 0}


def test_shares_become_severities() -> None:
    kind = Kind("t", "a", look_above=0.1, stop_above=0.5)

    assert [kind.severity(count, 10) for count in (0, 1, 2, 5, 6)] == ["ok", "ok", "look", "look", "stop"]
    assert kind.severity(0, 0) == "ok"
    assert all(0 <= kind.look_above <= kind.stop_above <= 1 for kind in KINDS.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"near_threshold": 0}, "`near_threshold` must be in (0, 1]. Received: near_threshold=0."),
        ({"semantic_threshold": "x"}, "`semantic_threshold` must be in (0, 1]"),
        ({"ranked_pairs": 0}, "`ranked_pairs` must be a whole number of at least 1"),
        ({"num_examples": -1}, "`num_examples` must be a whole number of at least 0"),
    ],
)
def test_wrong_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError) as error:
        ReportOptions(**options)
    assert message in str(error.value)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="Give at least one of `train`, `corpus` and `evaluation`"):
        data_report()
    with pytest.raises(InputError, match="Give `tokenizer` or `count_tokens`, not both"):
        data_report(train=["a"], tokenizer=object(), count_tokens=len)
    with pytest.raises(InputError, match="`tokenizer` must be a transformers tokenizer.* Received: object"):
        data_report(train=["a"], tokenizer=object())
    with pytest.raises(InputError, match="`count_tokens` must be a function"):
        data_report(train=["a"], count_tokens=5)
    with pytest.raises(InputError, match="`corpus` must have at least one document"):
        data_report(corpus=[])


def test_nothing_is_logged_about_data_that_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        report = data_report(corpus=[{"id": "a", "text": ""}, {"id": "a", "text": "b"}])

    assert isinstance(report, DataReport)
    assert caplog.records == []
