"""`LifeCycle`: runs the steps of a cycle in order; killed at any time, the next run goes on where it was."""

import dataclasses
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfchain.core.errors import InputError, TfchainError, first_line
from tfchain.jobs.lifecycle.limits import LimitReached, Limits, sum_seconds
from tfchain.jobs.lifecycle.record import Record
from tfchain.jobs.lifecycle.state import StateFolder, now
from tfchain.jobs.lifecycle.step import Result, Step, StepFailure, StepRun, order_steps
from tfchain.jobs.lifecycle.watch import OutOfTime, Watch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to.

    Args:
        cycle: The cycle's number.
        state: `finished`; `waiting`, for a person's approval; or `open`, after a run of one step.
        stopped_by: The first step that stopped the cycle; None if all ran.
        reason: Why it stopped or waits; empty otherwise.
        records: The records of the cycle by step, in the order of the steps.
    """

    cycle: int
    state: Literal["finished", "waiting", "open"]
    stopped_by: str | None = None
    reason: str = ""
    records: Mapping[str, Record] = dataclasses.field(default_factory=dict)


class LifeCycle:
    """A graph of steps that runs in cycles.

    A cycle begins with the first run after the last one ended, and ends when each step has run, was found unchanged, or
    was passed over. A run goes on with the cycle that is open: what has ended in it stays, unless settings or what
    comes before have changed. Files from outside count as they were when a step read them: they count anew in the next
    cycle.

    Args:
        steps: The steps, in an order in which people would name them.
        folder: Where everything is written down.
        limits: What a cycle may use. Default: anything.
        keep_cycles: Of how many cycles what the steps made is kept. Default: 5.

    Raises:
        InputError: if the steps are not a graph.
    """

    def __init__(
        self, steps: Sequence[Step], folder: Path, *, limits: Limits | None = None, keep_cycles: int = 5
    ) -> None:
        self.steps = order_steps(steps)
        self.state = StateFolder(folder)
        self.limits = Limits() if limits is None else limits
        self.keep_cycles = keep_cycles

    def run(self, *, restart: bool = False, wait_seconds: float = 0.0) -> Outcome:
        """Runs all steps that have not ended in the open cycle, or in a new one if none is open.

        Args:
            restart: Whether to give the open cycle up and begin a new one. Default: False.
            wait_seconds: How long to wait for another run to end. Default: 0.

        Raises:
            TfchainError: if another run is working, or a step failed.
            LimitReached: if the cycle has used up its time or money.
        """
        with self.state.locked(wait_seconds=wait_seconds):
            cycle = self._find_cycle(restart=restart)
            for step in self.steps:
                record = self._advance(step, cycle)
                if not record.has_ended:
                    return self._outcome(cycle, "waiting", record.reason)
            return self._finish(cycle)

    def run_step(self, name: str, *, wait_seconds: float = 0.0) -> Outcome:
        """Runs one step, for an engine that runs the graph itself; its steps before must have ended.

        A step without needs begins a new cycle if none is open; the last one to end closes it.

        Args:
            name: The step's name.
            wait_seconds: As in `run`.

        Raises:
            InputError: if there is no such step.
            TfchainError: if another run is working, a step before it has not ended, or the step failed.
            LimitReached: if the cycle has used up its time or money.
        """
        step = self.find(name)
        with self.state.locked(wait_seconds=wait_seconds):
            cycle = self.state.open_cycle()
            if cycle is None:
                if step.needs:
                    first = ", ".join(one.name for one in self.steps if not one.needs)
                    raise StepFailure(
                        f"The step {name} needs an open cycle. Received: none is open. Begin one with: {first}."
                    )
                cycle = self.state.begin_cycle()
            records = self.state.read_records(cycle)
            for needed in step.needs:
                if needed not in records or not records[needed].has_ended:
                    status = records[needed].status if needed in records else "not begun"
                    raise StepFailure(
                        f"The step {name} needs that {needed} has ended. Received: {needed} is {status} in cycle "
                        f"{cycle}. Run it first."
                    )
            record = self._advance(step, cycle)
            if not record.has_ended:
                return self._outcome(cycle, "waiting", record.reason)
            records = self.state.read_records(cycle)
            if all(one.name in records and records[one.name].has_ended for one in self.steps):
                return self._finish(cycle)
            return self._outcome(cycle, "open")

    def find(self, name: str) -> Step:
        """Returns a step by its name.

        Raises:
            InputError: if there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise InputError(
            f"There is no step of that name. Received: {name}. There are: {', '.join(one.name for one in self.steps)}."
        )

    def waiting(self) -> list[Record]:
        """Returns the records of the steps that wait for a person."""
        cycle = self.state.open_cycle()
        records = {} if cycle is None else self.state.read_records(cycle)
        return [record for record in records.values() if record.status == "waiting"]

    def _find_cycle(self, *, restart: bool) -> int:
        cycle = self.state.open_cycle()
        if cycle is not None and restart:
            self.state.end_cycle(cycle, "given up")
            cycle = None
        return self.state.begin_cycle() if cycle is None else cycle

    def _advance(self, step: Step, cycle: int) -> Record:
        """Brings one step of the cycle to its end, unless it must wait."""
        records = self.state.read_records(cycle)
        results = {name: record.result for name, record in records.items() if record.result is not None}
        before = {name: results[name] for name in step.needs if name in results}
        own_key = step.own_key(before)
        there = records.get(step.name)
        if there is not None and there.status in ("done", "unchanged") and there.own_key == own_key:
            return there
        stop = None if step.when == "last" else find_stop(step, records)
        if stop is not None:
            return self._write(Record(step=step.name, cycle=cycle, status="passed", own_key=own_key, reason=stop))
        key = step.key(before)
        base = Record(
            step=step.name,
            cycle=cycle,
            status="running",
            key=key,
            own_key=own_key,
            started=now() if there is None or there.started is None else there.started,
            seconds=0.0 if there is None else there.seconds,
            attempts=0 if there is None else there.attempts,
            inputs={name: str(path) for name, path in step.inputs.items()},
        )
        last = self.state.last_done(step.name, before=cycle)
        if step.when == "changed" and last is not None and is_current(last, key):
            return self._write(
                dataclasses.replace(base, status="unchanged", ended=now(), result=last.result, made_in=last.made_in)
            )
        if step.approve:
            answer = self.state.read_answer(cycle, step.name, key)
            if answer is None:
                return self._wait(base)
            if not answer["approve"]:
                reason = f"{answer['by']} refused {step.name}" + (f": {answer['reason']}" if answer["reason"] else "")
                result = Result(stop=reason).with_fingerprint()
                return self._write(
                    # Without a key: the next cycle asks again.
                    dataclasses.replace(
                        base, status="done", key="", ended=now(), result=result, reason=reason, made_in=cycle
                    )
                )
        return self._attempt(step, base, {**results, **before}, sum_seconds(records.values()))

    def _wait(self, base: Record) -> Record:
        reason = (
            f"{base.step} waits for approval. Run `tfchain approve CONFIG {base.step}`, and then "
            "`tfchain lifecycle CONFIG` again."
        )
        return self._write(dataclasses.replace(base, status="waiting", started=None, reason=reason))

    def _attempt(self, step: Step, base: Record, results: Mapping[str, Result], spent: float) -> Record:
        """Runs a step, and writes down how it went."""
        try:
            self.limits.check(spent)
        except LimitReached as error:
            self._write(dataclasses.replace(base, status="limit", reason=str(error)))
            raise
        record = self._write(dataclasses.replace(base, attempts=base.attempts + 1))
        folder = self.state.work_folder(step.name, base.key)
        folder.mkdir(parents=True, exist_ok=True)
        run = StepRun(
            name=step.name,
            cycle=base.cycle,
            folder=folder,
            settings=step.settings,
            inputs=step.inputs,
            results=results,
            last_result=lambda name: self.state.last_result(name, before=base.cycle),
        )
        logger.info("cycle %s: %s begins", base.cycle, step.name)
        watch = Watch(self.limits.seconds_left(spent), lambda seconds: self._write(self._after(record, seconds)))
        try:
            with watch:
                result = step.run(run).with_fingerprint()
        except OutOfTime:
            try:
                self.limits.check(spent + watch.seconds)
            except LimitReached as error:
                self._write(self._after(record, watch.seconds, status="limit", ended=now(), reason=str(error)))
                raise LimitReached(f"{step.name} was stopped. {error}") from None
            raise  # cannot be: the timer runs as long as the limit leaves
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error, length=500)}"
            self._write(self._after(record, watch.seconds, status="failed", ended=now(), reason=reason))
            if isinstance(error, TfchainError):
                raise
            raise StepFailure(
                f"The step {step.name} failed: {reason}. What the steps before it made is kept. Mend what it names, "
                "and run it again."
            ) from error
        ended = self._after(
            record,
            watch.seconds,
            status="done",
            ended=now(),
            result=result,
            reason=result.stop or "",
            made_in=base.cycle,
        )
        logger.info("cycle %s: %s took %.1f s", base.cycle, step.name, watch.seconds)
        return self._write(ended)

    def _after(self, record: Record, seconds: float, **changes: Any) -> Record:
        total = round(record.seconds + seconds, 6)  # a quick step counts, too
        return dataclasses.replace(record, seconds=total, cost=self.limits.to_cost(total), **changes)

    def _write(self, record: Record) -> Record:
        self.state.write_record(record)
        return record

    def _finish(self, cycle: int) -> Outcome:
        outcome = self._outcome(cycle, "finished")
        self.state.end_cycle(cycle, outcome.reason or "done")
        self._prune()
        return outcome

    def _outcome(self, cycle: int, state: Literal["finished", "waiting", "open"], reason: str = "") -> Outcome:
        records = self.state.read_records(cycle)
        ordered = {step.name: records[step.name] for step in self.steps if step.name in records}
        stopped_by = None
        for name, record in ordered.items():
            if record.result is not None and record.result.stop is not None:
                stopped_by, reason = name, reason or record.result.stop
                break
        return Outcome(cycle=cycle, state=state, stopped_by=stopped_by, reason=reason, records=ordered)

    def _prune(self) -> None:
        """Deletes what steps made in cycles that are no longer kept, and what no record names."""
        work = self.state.path / "work"
        kept = {path.resolve() for path in self.state.read_pins()}
        for cycle in self.state.list_cycles()[-self.keep_cycles :]:
            for record in self.state.read_records(cycle).values():
                kept.add(self.state.work_folder(record.step, record.key).resolve())
                if record.result is not None:
                    kept |= {path.resolve() for path in record.result.paths.values()}
        for folder in sorted(work.glob("*/*")):
            place = folder.resolve()
            if not any(path == place or path.is_relative_to(place) for path in kept):
                shutil.rmtree(folder, ignore_errors=True)


def find_stop(step: Step, records: Mapping[str, Record]) -> str | None:
    """Returns why a step is passed over; None if it is to run."""
    for name in step.needs:
        record = records.get(name)
        if record is None:
            continue
        if record.status == "passed":
            return record.reason
        if record.result is not None and record.result.stop is not None:
            return f"{name}: {record.result.stop}"
    return None


def is_current(record: Record, key: str) -> bool:
    """Whether a record's result still holds for a key: nothing has changed, and what it made is there."""
    if record.key != key or record.result is None:
        return False
    return all(path.exists() for path in record.result.paths.values())
