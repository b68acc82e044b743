"""The folder of a life cycle: its cycles, the record of each step, approvals, and the lock of the run."""

import contextlib
import fcntl
import getpass
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tfchain.core.atomic import remove_partials, write_json, writing
from tfchain.core.errors import InputError, TfchainError
from tfchain.jobs.lifecycle.record import Record
from tfchain.jobs.lifecycle.step import Result

LOCK = ".running"
POLL_SECONDS = 0.2


class StateFolder:
    """What is written down of a life cycle.

    `cycles/000001/cycle.json` says when a cycle began and ended, `cycles/000001/STEP.json` is a step's record,
    `cycles/000001/STEP.approval.json` a person's answer, and `work/STEP/KEY/` is what a step made of inputs with that
    key. All files are written whole or not at all.

    Args:
        path: The folder; made when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def locked(self, *, wait_seconds: float = 0.0) -> Iterator[None]:
        """Keeps other runs out while the block runs; the lock ends with the process, however it ends.

        Args:
            wait_seconds: How long to wait for another run to end. Default: 0.

        Raises:
            TfchainError: if another run has not ended by then.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self.path / LOCK, "a+")  # noqa: SIM115 - the block below closes it
        with file:
            self._take(file, time.monotonic() + wait_seconds)
            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            for folder in (self.path, *(self._cycle_file(cycle).parent for cycle in self.list_cycles()[-1:])):
                remove_partials(folder)
            yield

    def _take(self, file: Any, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    raise TfchainError(
                        f"Another run of this life cycle is working in {self.path} (process {file.read() or '?'}). "
                        "Nothing was done. Wait for it, or stop it: the next run goes on where it was."
                    ) from None
                time.sleep(POLL_SECONDS)

    def list_cycles(self) -> list[int]:
        """Returns the numbers of all cycles, in ascending order."""
        folder = self.path / "cycles"
        names = [child.name for child in folder.iterdir()] if folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdecimal())

    def open_cycle(self) -> int | None:
        """Returns the cycle that has begun and not ended; None if there is none."""
        cycles = self.list_cycles()
        return cycles[-1] if cycles and not self._cycle_values(cycles[-1]).get("ended") else None

    def begin_cycle(self) -> int:
        """Begins the next cycle, and returns its number."""
        cycle = (self.list_cycles() or [0])[-1] + 1
        write_json(self._cycle_file(cycle), {"cycle": cycle, "started": now(), "ended": None, "outcome": None})
        return cycle

    def end_cycle(self, cycle: int, outcome: str) -> None:
        """Writes down that a cycle has ended, and how."""
        write_json(self._cycle_file(cycle), {**self._cycle_values(cycle), "ended": now(), "outcome": outcome})

    def read_cycle(self, cycle: int) -> Mapping[str, Any]:
        """Returns when a cycle began and ended, and its outcome."""
        return self._cycle_values(cycle)

    def read_records(self, cycle: int) -> dict[str, Record]:
        """Returns the records of a cycle by step."""
        folder = self._cycle_file(cycle).parent
        records = {}
        for path in sorted(folder.glob("[!.]*.json")):  # not what a killed write left
            if path.name != "cycle.json" and not path.name.endswith(".approval.json"):
                records[path.stem] = Record.from_json(read_json(path), path)
        return records

    def read_record(self, cycle: int, step: str) -> Record | None:
        """Returns a step's record in a cycle; None if there is none."""
        path = self._cycle_file(cycle).with_name(f"{step}.json")
        return Record.from_json(read_json(path), path) if path.is_file() else None

    def write_record(self, record: Record) -> None:
        """Writes a step's record, in place of an earlier one of the same cycle."""
        write_json(self._cycle_file(record.cycle).with_name(f"{record.step}.json"), record.to_json())

    def last_done(self, step: str, *, before: int) -> Record | None:
        """Returns the record of the latest cycle before a given one in which a step ended with a result of its own.

        A step that a person refused has none: its record has no key.
        """
        for cycle in reversed(self.list_cycles()):
            record = self.read_record(cycle, step) if cycle < before else None
            if record is not None and record.status in ("done", "unchanged") and record.key:
                return record
        return None

    def last_result(self, step: str, *, before: int) -> Result | None:
        """Returns the result of `last_done`; None if there is none."""
        record = self.last_done(step, before=before)
        return None if record is None else record.result

    def work_folder(self, step: str, key: str) -> Path:
        """Returns the folder of what a step makes of inputs with a key; it may not exist yet."""
        return self.path / "work" / step / key[:16]

    def answer(self, record: Record, *, approve: bool, reason: str = "") -> None:
        """Writes down that a person lets a waiting step run, or does not."""
        answer = {"key": record.key, "approve": approve, "reason": reason, "by": find_user(), "when": now()}
        write_json(self._approval_file(record.cycle, record.step), answer)

    def read_answer(self, cycle: int, step: str, key: str) -> Mapping[str, Any] | None:
        """Returns a person's answer for a step with this key; None if nobody has answered."""
        path = self._approval_file(cycle, step)
        answer: Mapping[str, Any] = read_json(path) if path.is_file() else {}
        return answer if answer.get("key") == key else None

    def pin(self, name: str, paths: Iterable[Path]) -> None:
        """Keeps folders, such as the live model's, however many cycles follow; replaces an earlier pin of the name."""
        write_json(self.path / "pins" / f"{name}.json", {"paths": [str(path) for path in paths]})

    def read_pins(self) -> list[Path]:
        """Returns the folders that are kept."""
        files = sorted((self.path / "pins").glob("[!.]*.json"))
        return [Path(path) for file in files for path in read_json(file).get("paths", ())]

    def _cycle_file(self, cycle: int) -> Path:
        return self.path / "cycles" / f"{cycle:06}" / "cycle.json"

    def _approval_file(self, cycle: int, step: str) -> Path:
        return self._cycle_file(cycle).with_name(f"{step}.approval.json")

    def _cycle_values(self, cycle: int) -> dict[str, Any]:
        path = self._cycle_file(cycle)
        return read_json(path) if path.is_file() else {}


def find_user() -> str:
    """Returns the name of who runs this process; a number where the machine knows no name, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def now() -> str:
    """Returns the time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file that this module wrote.

    Raises:
        InputError: if it is damaged.
    """
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error}. Delete the file, and its step runs again.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a JSON object. Received: {type(values).__name__}. Delete the file.")
    return values
