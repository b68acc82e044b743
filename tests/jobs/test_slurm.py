"""The script for sbatch: what the shell makes of it, and what reaches srun."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.jobs.slurm import SlurmJob, make_sbatch

AWKWARD = '/data/it\'s a $HOME `id` "path"; rm -rf *.yaml'


def make_script(**changes: Any) -> str:
    return make_sbatch(SlurmJob(**{"name": "scifact", "config_path": "/data/train.yaml", **changes}))


def read_options(script: str) -> list[str]:
    lines = [line for line in script.splitlines() if line.startswith("#SBATCH ")]
    return [line.removeprefix("#SBATCH ") for line in lines]


def run_script(script: str, tmp_path: Path) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Runs the script with a `srun` that writes down its arguments; gives them."""
    stub = tmp_path / "bin" / "srun"
    stub.parent.mkdir()
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    stub.write_text(f'#!/bin/bash\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n')
    stub.chmod(0o755)
    path = f"{stub.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash"],
        input=script,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
        timeout=20,
        check=False,
    )
    return done, json.loads(done.stdout)


@pytest.mark.parametrize(
    "changes",
    [{}, {"machines": 4, "accelerators": 8, "cpus": 16, "config_path": AWKWARD, "options": {"partition": "gpu"}}],
)
def test_bash_parses_the_script(changes: dict[str, Any]) -> None:
    script = make_script(**changes)

    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert script.startswith("#!/bin/bash\n#SBATCH --job-name=scifact\n")


def test_the_options_stand_before_the_first_command_one_a_line() -> None:
    script = make_script(
        machines=4,
        accelerators=8,
        accelerator="a100",
        cpus=16,
        time="1-12",
        options={"partition": "gpu", "account": "search", "output": "logs/%j.txt"},
    )

    assert read_options(script) == [
        "--job-name=scifact",
        "--nodes=4",
        "--ntasks-per-node=1",
        "--gpus-per-node=a100:8",
        "--cpus-per-task=16",
        "--time=1-12",
        "--output=logs/%j.txt",
        "--partition=gpu",
        "--account=search",
    ]
    # sbatch stops reading them at the first command.
    commands = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert script.index(commands[0]) > script.rindex("#SBATCH")


def test_without_accelerators_none_are_asked_for() -> None:
    assert read_options(make_script()) == [
        *("--job-name=scifact", "--nodes=1", "--ntasks-per-node=1", "--output=%x-%j.log")
    ]
    assert "--gpus-per-node=2" in read_options(make_script(accelerators=2))


def test_srun_gets_the_training_as_it_was_named(tmp_path: Path) -> None:
    done, arguments = run_script(make_script(machines=2, cpus=16, config_path=AWKWARD), tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert arguments == ["--kill-on-bad-exit=1", "--label", "--cpus-per-task=16", "tfchain", "train", AWKWARD]


def test_the_scripts_exit_code_is_that_of_srun(tmp_path: Path) -> None:
    script = make_script().replace("srun ", "exit_with_3() { return 3; }; exit_with_3 ")

    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "two words"}, "`name` must be one word for sbatch. Received: name='two words'"),
        ({"name": "a\n#SBATCH --uid=0"}, "`name` must be a text on one line"),
        ({"time": "noon"}, "`time` must look like 12:00:00 or 1-12"),
        ({"cpus": 0}, "`cpus` must be a whole number of at least 1"),
        ({"options": {"--partition": "gpu"}}, "without dashes before them"),
        ({"options": {"nodes": "3"}}, "Received: 'nodes'"),
        ({"options": {"partition": "gpu; reboot"}}, "`partition` must be one word for sbatch"),
        ({"accelerators": 2, "accelerator": "a 100"}, "`accelerator` must be one word for sbatch"),
    ],
)
def test_what_sbatch_would_read_otherwise_is_an_error(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_script(**changes)

    assert words in str(caught.value)
