"""Limits of latency and size: what is measured, how often, and what becomes of trials above them."""

from pathlib import Path
from typing import Any

import pytest

from tests.optimization.tuning.test_tune import PAIRS, VALIDATION
from tfchain import NeuralSearchChain
from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.measure import Speed, Workload
from tfchain.optimization.tuning import limits
from tfchain.optimization.tuning.report import TuningReport
from tfchain.optimization.tuning.trial import TuningProblem


@pytest.fixture
def chain(tiny_model_path: Path) -> NeuralSearchChain:
    return NeuralSearchChain.from_pretrained(tiny_model_path, engine="tensorflow")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The layers of each model that was measured: a layer takes 2 ms and 5 MB, and one alone ranks worst."""
    seen: list[int] = []

    def count(text_encoder: TextEncoder) -> int:
        return int(text_encoder.encoder.config.transformer.num_layers)

    def measure_speed(text_encoder: TextEncoder, workload: Workload) -> Speed:
        seen.append(count(text_encoder))
        assert (len(workload.queries), len(workload.texts)) == (8, 8)
        return Speed(
            peak_memory_mb=1.0, query_median_ms=2.0 * count(text_encoder), query_p95_ms=9.0, texts_per_second=1.0
        )

    monkeypatch.setattr(limits, "measure_speed", measure_speed)
    monkeypatch.setattr(limits, "measure_files", lambda one: {"a": 4_000_000 * count(one), "b": 1_000_000 * count(one)})
    monkeypatch.setattr(
        TuningProblem,
        "train",
        lambda task, made, *_: {name: [0.25 * count(made)] for name in task.validation.metrics},
    )
    return seen


def search(chain: NeuralSearchChain, **options: Any) -> TuningReport:
    space = {"shrink.layers": [2, 1], "warmup": [0.0, 0.1]}
    return chain.tune(PAIRS, space, "grid", **{"validation": VALIDATION, **options})


def test_each_shape_is_measured_once_and_a_trial_above_the_limit_is_not_the_best(
    chain: NeuralSearchChain, measured: list[int], tmp_path: Path
) -> None:
    free = search(chain, path=tmp_path / "free")
    assert measured == [2, 1]
    assert [(one.latency_ms, one.size_mb) for one in free.trials] == [(4.0, 10.0), (4.0, 10.0), (2.0, 5.0), (2.0, 5.0)]
    assert free.best.values["shrink.layers"] == 2

    report = search(chain, path=tmp_path / "limited", max_latency_ms=3)
    assert [one.status for one in report.trials] == ["infeasible", "infeasible", "completed", "completed"]
    assert report.best.values["shrink.layers"] == 1
    slow = report.trials[0]
    assert (slow.latency_ms, slow.metrics) == (4.0, {})
    assert slow.message == "One query takes 4 ms; the limit is max_latency_ms=3."
    small = search(chain, max_size_mb=5)
    assert small.trials[0].message == "The files take 10 MB; the limit is max_size_mb=5."
    assert small.best.values["shrink.layers"] == 1


def test_where_all_break_a_limit_the_least_is_told(
    chain: NeuralSearchChain, measured: list[int], tmp_path: Path
) -> None:
    before = chain.hyperparameters
    with pytest.raises(
        InputError, match="All 4 trials broke a limit. Received: max_latency_ms=1; the least .* 2 ms and"
    ):
        search(chain, path=tmp_path / "a", max_latency_ms=1)
    assert chain.hyperparameters is before
    assert [one.status for one in TuningReport.load(tmp_path / "a").trials] == ["infeasible"] * 4


def test_nothing_is_measured_where_the_shape_stays_and_there_is_no_limit(
    chain: NeuralSearchChain, measured: list[int]
) -> None:
    report = chain.tune(PAIRS, {"warmup": [0.0, 0.1]}, "grid", validation=VALIDATION)
    assert measured == []
    assert report.best.latency_ms is None


def test_a_shape_is_what_costs_time(tiny_model_path: Path) -> None:
    one = TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")
    other = TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")
    other.encoder.set_weights([weight + 1 for weight in other.encoder.get_weights()])
    assert limits.describe_shape(one) == limits.describe_shape(other)
    for changes in ({"engine": "litert"}, {"max_length": 7}, {"engine": "tensorflow", "precision": "bfloat16"}):
        differing = TextEncoder.from_pretrained(tiny_model_path, **{"engine": "tensorflow", **changes})
        assert limits.describe_shape(differing) != limits.describe_shape(one)


def test_of_two_workers_the_first_ones_figures_count(
    chain: NeuralSearchChain, measured: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = limits.Gauge(tmp_path, ["a query"] * 8)
    first = limits.ShapeCost(1.5, 2.5)

    def measure(gauge: limits.Gauge, made: TextEncoder) -> limits.ShapeCost:
        limits.write_first(tmp_path / f"{limits.describe_shape(made)[:16]}.json", {"latency_ms": 1.5, "size_mb": 2.5})
        return limits.ShapeCost(7.0, 7.0)  # the other worker was faster

    monkeypatch.setattr(limits.Gauge, "_measure", measure)
    assert slow(chain.text_encoder) == first
    assert slow(chain.text_encoder) == first
    assert len(list(tmp_path.iterdir())) == 1
