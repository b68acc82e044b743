"""A life cycle of cheap steps in a process of its own, which can kill itself at any point.

`KILL_AT` names a point, such as `train:middle`; `LOG` is the file that each step writes its name to.
"""

import os
import signal
import sys
from pathlib import Path

from tfchain.jobs.lifecycle.engine import LifeCycle
from tfchain.jobs.lifecycle.step import Result, Step, StepRun

NAMES = ("prepare", "trigger", "train", "gate", "promote", "report")
POINTS = ("begin", "middle", "end")


def run(step: StepRun) -> Result:
    """Writes the numbers 0 to 3 to a file, one line at a time, and goes on after the last line that is there."""
    reach(f"{step.name}:begin")
    path = step.folder / "lines.txt"
    before = (
        step.results[previous(step.name)].values["text"] if previous(step.name) else step.inputs["data"].read_text()
    )
    there = path.read_text().count("\n") if path.exists() else 0
    for number in range(there, 4):
        with open(path, "a") as file:
            file.write(f"{step.name} {number} {before}\n")
        log(f"{step.name}:{number}")
        if number == 1:
            reach(f"{step.name}:middle")
    reach(f"{step.name}:end")
    return Result(paths={"lines": path}, values={"text": f"{before}>{step.name}"})


def previous(name: str) -> str:
    number = NAMES.index(name)
    return NAMES[number - 1] if number else ""


def reach(point: str) -> None:
    if os.environ.get("KILL_AT") == point:
        os.kill(os.getpid(), signal.SIGKILL)


def log(line: str) -> None:
    with open(os.environ["LOG"], "a") as file:
        file.write(line + "\n")


def make_steps(data: Path) -> list[Step]:
    return [
        Step(
            name=name,
            run=run,
            needs=(previous(name),) if previous(name) else (),
            inputs={} if previous(name) else {"data": data},
        )
        for name in NAMES
    ]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    outcome = LifeCycle(make_steps(folder / "data.txt"), folder / "state").run()
    print(outcome.state, outcome.records["report"].result.values["text"])  # type: ignore[union-attr]
