"""Tests of steps in worker processes: order, logs, errors, and the end of a worker."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.data.preparation.killing_steps import DropRepeated, Shout
from tfchain.core.errors import InputError, TfchainError
from tfchain.data.preparation import step_pipeline
from tfchain.data.preparation.step_pipeline import Part, StepPipeline, make_parts
from tfchain.data.steps.run import StepsRun
from tfchain.data.steps.step import FilterStep

BLOCKS = [[{"text": f"{block} {n}"} for n in range(3)] + [{"text": "hush"}] for block in range(9)]


@dataclass(frozen=True)
class FailAt(FilterStep):
    name = "fail_at"
    text: str = ""
    how: str = "raise"

    def reason(self, record):
        if record["text"] == self.text and self.how == "raise":
            raise InputError("The text is broken.", argument="text")
        if record["text"] == self.text:
            os.kill(os.getpid(), signal.SIGKILL)
        return


def run(num_workers: int, steps):
    with StepPipeline(steps, num_workers=num_workers, with_entries=True) as pipeline:
        blocks = [(block.lines, entries) for block, entries in pipeline.process(BLOCKS)]
        return blocks, [{**log.to_dict(), "seconds": 0} for log in pipeline.run.logs]


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize(
    "check", ["check_that_workers_change_nothing", "check_the_error_of_a_worker", "check_the_death_of_a_worker"]
)
def test_workers(check: str) -> None:
    """In a process of its own: in that of the tests TensorFlow runs, and none may be forked from it."""
    program = f"from {__name__} import {check}; {check}()"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def check_that_workers_change_nothing() -> None:
    steps = [Shout(), DropRepeated(), FailAt()]
    here, logs = run(1, steps)
    assert run(2, steps) == (here, logs)
    assert [lines[0] for lines, _ in here] == [f'{{"text": "{n} 0"}}\n'.encode() for n in range(9)]
    assert [len(entries) for _, entries in here] == [1] * 9
    assert logs[0]["dropped"] == {"no text left": 9}
    assert len(logs[0]["examples"]) == 3


def test_steps_that_remember_run_in_one_process() -> None:
    assert make_parts(StepsRun([Shout(), FailAt(), DropRepeated(), Shout()])) == [
        Part(0, 2, True),
        Part(2, 3, False),
        Part(3, 4, True),
    ]


def check_the_error_of_a_worker() -> None:
    with pytest.raises(InputError, match="The text is broken.") as caught:
        run(2, [FailAt("4 1")])
    assert caught.value.argument == "text"


def check_the_death_of_a_worker() -> None:
    with pytest.raises(TfchainError, match="A worker of the preparation was killed; if by the system, then for want"):
        run(2, [FailAt("4 1", "kill")])


def test_workers_are_refused_once_tensorflow_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_pipeline, "is_tensorflow_started", lambda: True)
    assert step_pipeline.choose_workers(None) == 1
    with pytest.raises(InputError, match="`num_workers` must be 1 once TensorFlow runs .* Received: num_workers=2"):
        StepPipeline([Shout()], num_workers=2)
