"""`tfchain release`, `releases`, `promote` and `rollback` on folders, without a server."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.deployment.releases.versions import make_report, make_version
from tfchain.chains import releasing
from tfchain.deployment.release_state import read_state
from tfchain.deployment.releases.limits import ReleaseLimits
from tfchain.deployment.releases.report import ReleaseReport


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        make_version(tmp_path / "docs", number, outcome=("passed", "passed", "failed")[number - 1])
    return tmp_path / "docs"


def test_versions_are_promoted_tried_out_and_taken_back(run: Run, base_path: Path) -> None:
    assert run("promote", base_path, 1).output == "live: 1\n"
    shown = run("promote", base_path, 2, "--canary", 10, "--reason", "new words").output
    assert shown == "live: 1\ncanary: 2, 10 % of the requests that name no version\n"
    assert json.loads(run("promote", base_path, "--json").output) == {
        "live": 2,
        "canary": None,
        "canary_percent": 0.0,
        "shadow": None,
        "shadow_percent": 0.0,
        "previous": [1, 3],
    }
    assert run("promote", base_path, 1, "--shadow", 5).output == "live: 2\nshadow: 1, copies of 5 % of the requests\n"
    assert run("rollback", base_path, "--reason", "errors").output.startswith("live: 1\n")
    assert [event.reason for event in read_state(base_path).history][-1] == "errors"


def test_the_list_shows_roles_reports_and_history(run: Run, base_path: Path) -> None:
    run("promote", base_path, 1)
    run("promote", base_path, 2, "--canary", 10)
    shown = run("releases", base_path, "--history").output
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert any(line.startswith("3 previous refused") for line in lines)
    assert any(line.startswith("2 canary 10 % let through") for line in lines)
    assert any(line.startswith("1 live 90 % let through") for line in lines)
    assert "canary 2 10 % of the requests" in lines[-1]
    (base_path / "1" / "saved_model.pb").write_bytes(b"changed")
    assert "changed since" in run("releases", base_path, "--verify").output
    run("promote", base_path, 2)
    found = json.loads(run("releases", base_path, "--prune", 0, "--json").output)
    assert (found["removed"], [item["version"] for item in found["releases"]]) == ([1], [3, 2])


def test_what_is_wrong_is_one_line_and_changes_nothing(run: Run, base_path: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (("promote", base_path, 3), "error: The gate refused version 3: ndcg@10 fell"),
        (("promote", base_path, 9), "error: `version` must be a version of"),
        (("promote", base_path), "error: There is no canary in"),
        (("promote", base_path, "--canary", 5), "error: --canary and --shadow need a VERSION. Received: none."),
        (
            ("promote", base_path, 1, "--canary", 5, "--shadow", 5),
            "error: A version is a canary or a shadow. Received: --ca",
        ),
        (
            ("promote", base_path, 1, "--watch", "http://x"),
            "error: --watch belongs to --canary. Received: --watch http://x",
        ),
        (
            ("promote", base_path, 2, "--canary", 5, "--watch", "http://x", "--min-requests", 0),
            "error: `min_requests` must be from 1 to inf. Received: min_requests=0.",
        ),
        (("rollback", base_path), "error: No version of"),
        (("releases", tmp_path / "nowhere"), "error: Expected a base path, a folder of versions (1, 2, …). Received:"),
        (
            ("release", base_path / "1"),
            "error: `tfchain release` needs --data or --without-evaluation. Received: neither.",
        ),
        (
            ("release", base_path / "1", "--without-evaluation", "--margin", 3),
            "error: `margin` must be above 0 and below",
        ),
    ):
        result = run(*arguments)
        assert result.exit_code == 1, arguments
        assert result.stderr.startswith(message), result.stderr
        assert result.stderr.count("\n") == 1
    assert read_state(base_path).history == ()


def test_a_refused_version_has_its_own_exit_code(
    run: Run, base_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = {}

    def release(path: Path, dataset: Path, **options: object) -> ReleaseReport:
        asked.update(options, dataset=dataset)
        return make_report(path, outcome="failed" if path.name == "3" else "passed")

    monkeypatch.setattr(releasing, "release_version", release)
    result = run("release", base_path / "3", "--data", tmp_path, "--margin", 0.01, "--live", 1)
    assert result.exit_code == 3
    assert "✗ metric   ndcg@10 fell <a lot>." in result.output
    assert f"refused: docs version 3; see {base_path / '3' / 'blessing.html'}" in result.output
    assert (asked["limits"], asked["live_path"]) == (ReleaseLimits(margin=0.01), base_path / "1")
    result = run("release", base_path / "2", "--data", tmp_path, "--json")
    assert (result.exit_code, json.loads(result.output)["passed"]) == (0, True)


def test_the_model_config_of_a_stock_server_is_written(run: Run, base_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    run("promote", base_path, 1)
    run("promote", base_path, 2, "--canary", 20, "--model-config", file, "--served-path", "/models/docs")
    text = file.read_text()
    for part in ('name: "docs"', 'base_path: "/models/docs"', "versions: 1", "versions: 2", 'key: "stable"'):
        assert part in text
