import json
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.judgement import AskedVersion, Judgement, Question
from tfchain.deployment.releases.gate import release_version
from tfchain.deployment.releases.limits import ReleaseLimits
from tfchain.deployment.releases.report import BLESSING, read_report
from tfchain.deployment.releases.switch import promote

ITEMS = np.linspace(0, 1, 300, dtype="float32")


def judge(version: AskedVersion) -> Judgement:
    """The nearer to 2 x + 1, the better."""
    answers = version.ask(Question("serving_default", {"x": ITEMS}))["y"]
    rankings = [[str(round(float(answer), 3))] for answer in answers]
    probes = [Question("serving_default", {"x": ITEMS[:1]})] * 3
    return Judgement("nearness", 1 - np.abs(answers - (2 * ITEMS + 1)), rankings=rankings, probes=probes)


def test_an_equal_version_passes_every_check_and_is_promoted(base_path: Path) -> None:
    promote(base_path, 1, needs_blessing=False)
    limits = ReleaseLimits(max_latency_ms=60_000, max_size_mb=50, min_overlap=0.9)
    report = release_version(base_path / "2", judge=judge, limits=limits)
    assert [(check.name, check.outcome) for check in report.checks] == [
        *(("ops", "passed"), ("proofs", "passed"), ("metric", "passed")),
        *(("latency", "passed"), ("answers", "passed"), ("size", "passed")),
    ]
    assert (report.passed, report.version, report.live, report.fingerprint) == (True, 2, 1, "abc")
    assert read_report(base_path / "2") == report
    assert json.loads((base_path / "2" / BLESSING).read_text())["passed"] is True
    assert promote(base_path, 2).live == 2


def test_a_worse_version_is_refused_by_the_metric_alone(base_path: Path) -> None:
    promote(base_path, 1, needs_blessing=False)
    report = release_version(base_path / "3", judge=judge)
    assert not report.passed
    assert [check.name for check in report.checks if check.outcome == "failed"] == ["metric"]
    assert report.comparison is not None
    assert (report.comparison.live, report.comparison.new) == pytest.approx((1.0, 0.5))
    with pytest.raises(InputError, match="The gate refused version 3: The version is worse. nearness goes from 1.0000"):
        promote(base_path, 3)


def test_without_an_evaluation_set_the_report_says_so(base_path: Path) -> None:
    report = release_version(base_path / "1")
    assert [(check.name, check.outcome) for check in report.checks] == [
        *(("ops", "passed"), ("proofs", "passed"), ("metric", "skipped"), ("size", "skipped")),
    ]


def test_a_version_whose_weights_changed_no_longer_holds_its_proofs(base_path: Path) -> None:
    for file in (base_path / "3" / "variables").iterdir():
        (base_path / "2" / "variables" / file.name).write_bytes(file.read_bytes())
    report = release_version(base_path / "2")
    assert report.refusals == (
        "The version no longer answers as it did at its export: The exported version's signature 'serving_default' "
        "gave for 'y' values that are 2 away from the expected ones.",
    )


def test_a_server_that_is_too_old_is_refused_before_anything_is_asked(base_path: Path) -> None:
    report = release_version(base_path / "2", judge=judge, limits=ReleaseLimits(server="2.7"))
    assert [(check.name, check.outcome) for check in report.checks] == [("ops", "failed"), ("size", "skipped")]
    assert "needs TensorFlow Serving 2.8 or newer. The target has 2.7." in report.checks[0].message


def test_what_is_no_version_is_a_clear_error_and_leaves_no_report(base_path: Path) -> None:
    with pytest.raises(InputError, match="A version must be a folder named by its number, with saved_model.pb"):
        release_version(base_path)
    with pytest.raises(InputError, match="A version must be compared with another one. Received: .*lines/2 for both"):
        release_version(base_path / "2", live_path=base_path / ".." / "lines" / "2")
    (base_path / "2" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(InputError, match="2 must be"):
        release_version(base_path / "2", judge=judge)
    assert not (base_path / "2" / BLESSING).exists()

    def judge_another(version: AskedVersion) -> Judgement:
        version.ask(Question("search", {}))
        raise AssertionError

    with pytest.raises(
        InputError, match="must have the signature 'search' to be judged. Received: a version with serv"
    ):
        release_version(base_path / "3", judge=judge_another, live_path=base_path / "1")
