"""`Step`: one step of a life cycle as plain values, what it is given while it runs, and what it leaves."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfchain.core.errors import InputError, TfchainError
from tfchain.jobs.lifecycle.fingerprints import hash_path, hash_value

When = Literal["changed", "always", "last"]


class StepFailure(TfchainError):
    """A step of a life cycle failed; what the steps before it made is kept, and the next run tries the step again."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a step leaves for the steps after it.

    Args:
        paths: The files and folders that it made, by name.
        values: Plain values for the steps after it, by name.
        facts: Plain values for people alone; steps after it do not run again when they change.
        stop: Why the steps after this one are not needed, or must not run. Default: None, they run.
        fingerprint: A hash of what it made. Default: the hash of `values` and of the content of `paths`.
    """

    paths: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stop: str | None = None
    fingerprint: str | None = None

    def with_fingerprint(self) -> "Result":
        """Returns the result with its fingerprint, which reads every file that the step made."""
        if self.fingerprint is not None:
            return self
        content = {name: hash_path(path) for name, path in self.paths.items()}
        return dataclasses.replace(self, fingerprint=hash_value({"paths": content, "values": dict(self.values)}))


@dataclass(frozen=True, kw_only=True)
class StepRun:
    """What a step is given while it runs.

    Args:
        name: The step's name.
        cycle: The number of the cycle, from 1.
        folder: The step's own folder. It exists, and holds what an earlier attempt with the same inputs left.
        settings: The step's settings.
        inputs: The step's files and folders from outside, by name.
        results: The results of the steps before it in this cycle, by name; those that did not run are missing.
        last_result: Gives a step's latest result from an earlier cycle; None if it never ended.
    """

    name: str
    cycle: int
    folder: Path
    settings: Mapping[str, Any]
    inputs: Mapping[str, Path]
    results: Mapping[str, Result]
    last_result: Callable[[str], Result | None]

    def path_of(self, step: str, name: str) -> Path:
        """Returns a path that a step before this one made.

        Raises:
            StepFailure: if it has not run in this cycle, or made no such path.
        """
        result = self.results.get(step)
        if result is None or name not in result.paths:
            raise StepFailure(
                f"The step {self.name} needs `{name}` of the step {step}. Received: nothing of that name. "
                f"Run {step} first: `tfchain lifecycle CONFIG` runs all steps in order."
            )
        return result.paths[name]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a life cycle.

    Args:
        name: Its name: lower-case letters, digits and hyphens.
        run: What it does. It may be killed at any time and is then called again with the same folder.
        needs: The names of the steps before it.
        settings: Plain values that change what it makes.
        inputs: Files and folders from outside that it reads, by name; their content is part of its key.
        state: Gives a plain value from outside besides files, such as the number of the live version. Like files, it
            counts as it was when the step began. Default: none.
        version: Raise it when the step's code makes something else of the same inputs. Default: 1.
        approve: Whether a person must approve before it runs. Default: False.
        when: `changed` skips it while inputs, settings and version are those of its latest run; `always` runs it in
            each cycle; `last` also runs it in a cycle that an earlier step has stopped. Default: `changed`.
    """

    name: str
    run: Callable[[StepRun], Result]
    needs: tuple[str, ...] = ()
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    inputs: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    state: Callable[[], Any] | None = None
    version: int = 1
    approve: bool = False
    when: When = "changed"

    def own_key(self, results: Mapping[str, Result]) -> str:
        """Hashes all that decides what the step makes, except files and state from outside."""
        before = {
            name: [results[name].fingerprint, results[name].stop is None] for name in self.needs if name in results
        }
        return hash_value(
            {"name": self.name, "version": self.version, "settings": dict(self.settings), "before": before}
        )

    def key(self, results: Mapping[str, Result]) -> str:
        """Hashes all that decides what the step makes, with the content of its files and its state from outside."""
        content = {name: hash_path(path) for name, path in self.inputs.items()}
        state = None if self.state is None else self.state()
        return hash_value({"own": self.own_key(results), "inputs": content, "state": state})


def order_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Puts steps in an order in which each comes after those that it needs; otherwise the order stays.

    Raises:
        InputError: if a name appears twice, a needed step is missing, or steps need each other in a circle.
    """
    by_name = {step.name: step for step in steps}
    if len(by_name) < len(steps):
        names = [step.name for step in steps]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"Steps must have different names. Received: {twice} twice. Rename one.")
    for step in steps:
        for name in step.needs:
            if name not in by_name:
                raise InputError(
                    f"`needs` must name steps of the life cycle. Received: {name}, which {step.name} needs. "
                    f"There are: {', '.join(by_name)}."
                )
    ordered: dict[str, Step] = {}
    while len(ordered) < len(steps):
        ready = next(
            (step for step in steps if step.name not in ordered and all(name in ordered for name in step.needs)), None
        )
        if ready is None:
            left = ", ".join(step.name for step in steps if step.name not in ordered)
            raise InputError(f"Steps must not need each other in a circle. Received: {left}. Take one need out.")
        ordered[ready.name] = ready
    return tuple(ordered.values())
