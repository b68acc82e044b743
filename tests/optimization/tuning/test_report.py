"""The report of a search: its table, its files, its best trial."""

import copy
import pickle
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.optimization.tuning.report import TrialReport, TuningReport

TRIALS = (
    TrialReport(
        id="0", values={"learning_rate": 2e-5, "pooling": "mean"}, metrics={"ndcg@10": 0.5}, epochs=(0.4, 0.5),
        latency_ms=4.25, size_mb=90.04, seconds=12.4,
    ),
    TrialReport(
        id="1", values={"learning_rate": 1e-4, "pooling": "cls"}, status="infeasible", latency_ms=9.0, size_mb=180.0,
        message="One query takes 9 ms; the limit is max_latency_ms=5.",
    ),
    TrialReport(
        id="2", values={"learning_rate": 123e-6, "matryoshka.dims": [64, 32]}, metrics={"ndcg@10": 0.75}, seconds=99.9,
        latency_ms=4.0, size_mb=90.0,
    ),
    TrialReport(id="3", values={"learning_rate": 5e-5}, metrics={"ndcg@10": 0.75}, latency_ms=3.0),
    TrialReport(id="4", values={"learning_rate": 1e-3}, status="failed", message="`x` is wrong."),
)  # fmt: skip
REPORT = TuningReport(trials=TRIALS, objective="ndcg@10", search={"max_latency_ms": 5})


def test_the_best_is_the_first_of_the_highest() -> None:
    assert REPORT.best.id == "2"


def test_the_table_has_a_line_a_trial() -> None:
    lines = [line.split() for line in str(REPORT).splitlines() if line.strip()]
    assert lines[0] == [
        "trial", "ndcg@10", "learning_rate", "pooling", "matryoshka.dims", "query", "ms", "MB", "s"
    ]  # fmt: skip
    assert lines[1] == ["0", "0.5000", "2e-05", "mean", "–", "4.25", "90.0", "12"]
    assert lines[2] == ["1", "–", "0.0001", "cls", "–", "9.00", "180.0", "0", "infeasible"]
    assert lines[3] == ["→", "2", "0.7500", "0.000123", "–", "[64,", "32]", "4.00", "90.0", "100"]
    assert lines[5][-1] == "failed"
    assert lines[6] == ["1", "failed,", "trial", "4", "first:", "`x`", "is", "wrong."]
    assert "failed" not in str(TuningReport(trials=TRIALS[:4], objective="ndcg@10"))


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    path = REPORT.save(tmp_path / "report")
    assert {file.name for file in path.iterdir()} == {"report.json", "report.txt", "tuning.png"}
    assert TuningReport.load(path) == REPORT
    assert (path / "report.txt").read_text() == str(REPORT)
    assert (path / "tuning.png").read_bytes()[:4] == b"\x89PNG"
    (path / "report.json").write_text("{}")
    with pytest.raises(InputError, match="report.json is not a report: KeyError"):
        TuningReport.load(path)


def test_a_report_without_a_completed_trial_says_why(tmp_path: Path) -> None:
    for trials, message in (
        ((), "The search has no trial"),
        (TRIALS[1:2], "All 1 trials broke a limit. Received: max_latency_ms=5; the least .* is 9 ms and 180 MB"),
        ((TRIALS[1], TRIALS[4]), "1 failed, 1 broke a limit. The first failure: `x` is wrong."),
    ):
        report = TuningReport(trials=trials, objective="ndcg@10", search={"max_latency_ms": 5.0})
        with pytest.raises(InputError, match=message):
            _ = report.best
        assert {file.name for file in report.save(tmp_path).iterdir()} == {"report.json", "report.txt"}


def test_a_report_is_pickled_and_copied_as_it_is() -> None:
    for again in (pickle.loads(pickle.dumps(REPORT)), copy.deepcopy(REPORT)):
        assert again == REPORT
        assert again.best.values == REPORT.best.values


def test_of_an_error_the_lowest_trial_is_the_best() -> None:
    trials = (
        TrialReport(id="0", values={"epochs": 1}, metrics={"log_loss": 0.7}),
        TrialReport(id="1", values={"epochs": 2}, metrics={"log_loss": 0.4}),
        TrialReport(id="2", values={"epochs": 3}, metrics={"log_loss": 0.5}),
    )
    assert TuningReport(trials=trials, objective="log_loss", search={"mode": "min"}).best.id == "1"
    assert TuningReport(trials=trials, objective="log_loss").best.id == "0"
