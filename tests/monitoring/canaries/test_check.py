"""Canaries notice what is wrong with a version, and say nothing of one that is right."""

from collections.abc import Callable

import numpy as np
import pytest

from tfchain.core.errors import InputError, ServerError
from tfchain.monitoring.canaries.ask import CanaryAnswer, make_ask
from tfchain.monitoring.canaries.canary import CanaryQuery
from tfchain.monitoring.canaries.check import CanaryLimits, check_canaries
from tfchain.monitoring.served_model import ServedModel

Load = Callable[[str], ServedModel]


def test_the_version_that_the_canaries_are_of_is_good(served: Load, canaries: list[CanaryQuery]) -> None:
    report = check_canaries(make_ask(served("good")), canaries)

    assert report.is_good
    assert report.is_same_model
    assert (report.canaries, report.recall) == (3, 1.0)
    assert report.vector_distance == pytest.approx(0, abs=1e-6)
    assert report.latency_ms is not None
    assert report.latency_ms > 0


def test_a_swapped_tokenizer_is_noticed(served: Load, canaries: list[CanaryQuery]) -> None:
    report = check_canaries(make_ask(served("tokenizer")), canaries)

    kinds = {finding.kind: finding for finding in report.findings}
    assert "model" in kinds
    assert not report.is_same_model
    assert "its tokenizer, its weights or its default prompt has changed" in kinds["model"].message


def test_a_wrong_prompt_is_noticed_and_told_from_a_wrong_model(served: Load, canaries: list[CanaryQuery]) -> None:
    report = check_canaries(make_ask(served("prompt")), canaries)

    assert [finding.kind for finding in report.findings if finding.kind != "recall"] == ["prompt"]
    assert report.findings[0].canaries == 3
    assert not report.is_same_model


def test_stale_vectors_are_noticed_and_told_from_a_wrong_model(served: Load, canaries: list[CanaryQuery]) -> None:
    report = check_canaries(make_ask(served("stale")), canaries)

    assert report.is_same_model
    assert report.vector_distance == pytest.approx(0, abs=1e-6)
    assert {finding.kind for finding in report.findings} <= {"index", "recall"}
    assert report.findings


def answer_with(**values: object) -> Callable[[CanaryQuery], CanaryAnswer]:
    return lambda canary: CanaryAnswer(**values)  # type: ignore[arg-type]


def test_recall_by_hand() -> None:
    known = [CanaryQuery("a", ("1", "2")), CanaryQuery("b", ("1", "9", "8", "7")), CanaryQuery("c")]

    report = check_canaries(answer_with(ids=("1", "2", "3")), known)

    assert report.recall == (1 + 0.25) / 2
    (finding,) = report.findings
    assert (finding.kind, finding.canaries) == ("recall", 1)
    assert finding.message == "Expected answers are missing: 'b'."
    assert check_canaries(answer_with(ids=("1", "2")), known, CanaryLimits(recall=0.6)).is_good


def test_scores_of_a_model_without_vectors_are_only_said_to_differ() -> None:
    report = check_canaries(answer_with(ids=("1",), scores=(0.9,)), [CanaryQuery("a", ("1",), (0.5,))])

    assert [finding.kind for finding in report.findings] == ["answers"]
    assert report.is_same_model


def test_vectors_of_another_width_and_broken_ones_are_as_far_as_can_be() -> None:
    known = [CanaryQuery("a", vector=np.ones(3, np.float32))]

    for vector in (np.ones(4, np.float32), np.full(3, np.nan, np.float32)):
        report = check_canaries(answer_with(vector=vector), known)
        assert report.vector_distance == 2.0
        assert not report.is_same_model
    halfway = check_canaries(answer_with(vector=np.array([1, 1, 0], np.float32)), known)
    assert halfway.vector_distance == pytest.approx(1 - 2 / np.sqrt(6))


def test_a_slow_model_is_noticed_by_the_median() -> None:
    times = iter([10.0, 50.0, 11.0])
    report = check_canaries(
        lambda canary: CanaryAnswer(latency_ms=next(times)), [CanaryQuery("a")] * 3, CanaryLimits(latency_ms=10.5)
    )

    assert report.latency_ms == 11.0
    assert report.findings[0].message == "The answers are slow: 11.0 ms, at most 10.5 ms are allowed."


def test_what_is_not_answered_is_a_finding_and_the_others_are_asked() -> None:
    asked = []

    def ask(canary: CanaryQuery) -> CanaryAnswer:
        asked.append(canary.text)
        if canary.text == "b":
            raise ServerError("the server hangs")
        return CanaryAnswer(ids=("1",))

    report = check_canaries(ask, [CanaryQuery(text, ("1",)) for text in "abc"])

    assert asked == ["a", "b", "c"]
    assert (report.recall, [finding.kind for finding in report.findings]) == (1.0, ["unanswered"])
    assert "'b' (the server hangs)" in report.findings[0].message
    assert report.to_dict()["is_good"] is False


def test_no_canaries_and_wrong_limits_are_errors() -> None:
    with pytest.raises(InputError, match="`canaries` must have at least one"):
        check_canaries(answer_with(), [])
    with pytest.raises(InputError, match=r"`recall` must be in \[0, 1\]"):
        CanaryLimits(recall=2)
    with pytest.raises(InputError, match="`latency_ms` must be above 0"):
        CanaryLimits(latency_ms=0)
