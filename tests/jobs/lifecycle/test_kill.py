"""A life cycle that is killed by SIGKILL at any point of any step goes on, and comes to the same end."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.jobs.lifecycle.stub_steps import NAMES, POINTS

PROGRAM = [sys.executable, "-P", "-m", "tests.jobs.lifecycle.stub_steps"]
ROOT = Path(__file__).resolve().parents[3]
ALL_LINES = [f"{name}:{number}" for name in NAMES for number in range(4)]


def run_program(folder: Path, kill_at: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KILL_AT": kill_at, "LOG": str(folder / "log.txt")}
    return subprocess.run(
        [*PROGRAM, str(folder)], capture_output=True, text=True, timeout=60, env=environment, check=False
    )


def test_killed_at_every_point_of_every_step_it_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("data")
    records = tmp_path / "state" / "cycles" / "000001"
    for name in NAMES:
        for point in POINTS:
            killed = run_program(tmp_path, f"{name}:{point}")
            assert killed.returncode == -9, killed.stderr
            assert json.loads((records / f"{name}.json").read_text())["status"] == "running"

    done = run_program(tmp_path)

    assert done.stdout == "finished data>" + ">".join(NAMES) + "\n", done.stderr
    assert (tmp_path / "log.txt").read_text().split() == ALL_LINES  # each line of each step once
    ended = [json.loads((records / f"{name}.json").read_text()) for name in NAMES]
    assert [record["status"] for record in ended] == ["done"] * len(NAMES)
    assert [record["attempts"] for record in ended] == [len(POINTS) + 1] * len(NAMES)
