import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.judgement import Judgement
from tfchain.deployment.releases.checks import check_answers, check_latency, check_metric, check_size
from tfchain.deployment.releases.comparison import compare_values
from tfchain.deployment.releases.limits import ReleaseLimits


def judge_metric(loss: float, noise: float, limits: ReleaseLimits, *, items: int = 300) -> tuple[str, str]:
    """The outcome and the first words for a version that is worse by `loss`, with noise around it."""
    random = np.random.default_rng(0)
    live = np.clip(random.normal(0.65, 0.2, items), 0, 1)
    new = live - loss + random.normal(0, noise, items)
    comparison = compare_values(live, new, metric="ndcg@10")
    check = check_metric(Judgement("ndcg@10", new), comparison, limits)
    return check.outcome, check.message


def test_an_equal_version_passes_and_a_worse_one_does_not() -> None:
    limits = ReleaseLimits()
    assert judge_metric(0.0, 0.02, limits)[0] == "passed"
    outcome, message = judge_metric(0.05, 0.1, limits)
    assert outcome == "failed"
    assert message.startswith("The version is worse. ndcg@10 goes from 0.6")


def test_a_loss_that_cannot_be_excluded_is_refused_with_what_would_help() -> None:
    outcome, message = judge_metric(0.0, 0.3, ReleaseLimits())
    assert outcome == "failed"
    assert message.startswith("A loss of more than the margin of 0.0128 cannot be excluded.")
    assert "with a probability of 80 %: judge more items, or accept a larger margin." in message
    assert judge_metric(0.0, 0.3, ReleaseLimits(margin=0.1))[0] == "passed"


def test_too_few_items_exclude_nothing_even_if_all_answers_are_equal() -> None:
    assert judge_metric(0.0, 0.0, ReleaseLimits(), items=40)[0] == "failed"
    assert judge_metric(0.0, 0.0, ReleaseLimits(), items=160)[0] == "passed"


def test_the_strict_rule_refuses_a_small_loss_that_is_certain() -> None:
    assert judge_metric(0.005, 0.01, ReleaseLimits())[0] == "passed"
    outcome, message = judge_metric(0.005, 0.01, ReleaseLimits(rule="strict"))
    assert outcome == "failed"
    assert "is worse, by less than the margin" in message
    assert judge_metric(0.0, 0.0, ReleaseLimits(rule="strict"))[0] == "passed"


def test_a_first_version_has_nothing_to_be_compared_with() -> None:
    check = check_metric(Judgement("accuracy", np.array([1.0, 0.0])), None, ReleaseLimits())
    assert (check.outcome, check.values) == ("skipped", {"new": 0.5})


def test_latency_and_size_keep_to_their_limits() -> None:
    times = [1.0] * 90 + [9.0] * 10
    assert check_latency(times, [2.0], ReleaseLimits()).outcome == "skipped"
    assert check_latency(times, [2.0], ReleaseLimits(max_latency_ms=9.5)).outcome == "passed"
    failed = check_latency(times, [2.0], ReleaseLimits(max_latency_ms=8))
    assert failed.outcome == "failed"
    assert "A single question takes 1.00 ms, and 9.00 ms at the 95th percentile (live: 2.00 and 2.00" in failed.message
    assert check_latency([], [], ReleaseLimits(max_latency_ms=1)).outcome == "skipped"
    assert check_size(12.0, None, ReleaseLimits(max_size_mb=10)).outcome == "failed"
    assert check_size(8.0, 9.0, ReleaseLimits(max_size_mb=10)).outcome == "passed"


def test_answers_that_drift_are_reported_and_refused_only_with_a_limit() -> None:
    values = np.zeros(2)
    live, new = Judgement("m", values, rankings=["abcd", "abcd"]), Judgement("m", values, rankings=["abcd", "efgh"])
    found = check_answers(new, live, ReleaseLimits())
    assert (found.outcome, found.values["overlap_at_10"], found.values["same_best"]) == ("skipped", 0.5, 0.5)
    assert found.values["rank_biased_overlap"] == pytest.approx(0.5)
    assert check_answers(new, live, ReleaseLimits(min_overlap=0.9)).outcome == "failed"
    assert check_answers(new, live, ReleaseLimits(min_overlap=0.5)).outcome == "passed"
    assert check_answers(new, None, ReleaseLimits(min_overlap=0.5)).outcome == "skipped"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 0}, "`margin` must be above 0 and below 1. Received: margin=0."),
        ({"alpha": 0.5}, "`alpha` must be above 0 and below 0.5. Received: alpha=0.5."),
        ({"rule": "soft"}, "`rule` must be one of margin, strict. Received: rule='soft'."),
        ({"max_latency_ms": True}, "`max_latency_ms` must be above 0. Received: max_latency_ms=True."),
        ({"min_overlap": 2}, "`min_overlap` must be at least 0 and at most 1. Received: min_overlap=2."),
        ({"server": "latest"}, "`server` must be a release of TensorFlow Serving. Received: server='latest'."),
    ],
)
def test_limits_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReleaseLimits(**options)
