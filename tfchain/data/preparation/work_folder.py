"""The work folder of a preparation that writes: the plan, the checkpoints, and a lock against a second run."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfchain.core.atomic import new_folder, remove_partials, write_json, writing
from tfchain.core.errors import InputError, TfchainError
from tfchain.core.file_lock import file_lock
from tfchain.data.preparation.report import log_to_plain, restore_log
from tfchain.data.steps.run import StepsRun

WORK_PREFIX = ".preparing-"
PLAN_NAME = "plan.json"
POSITION_NAME = "position.json"
CHECKPOINT_PREFIX = "checkpoint-"


class WorkFolder:
    """The folder beside the output in which a preparation works.

    Args:
        output: The folder that is to appear.

    Attributes:
        path: The work folder, `.preparing-NAME`.
        set_path: The folder in it that becomes the output.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.parent / f"{WORK_PREFIX}{output.name}"
        self.set_path = self.path / "set"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder, and keeps other processes out while the block runs.

        Raises:
            TfchainError: if another process prepares the same output, or the folder cannot be written.
        """
        with writing(self.path):
            self.set_path.mkdir(parents=True, exist_ok=True)
        taken = TfchainError(
            f"Another process prepares {self.output}. Nothing was written. Wait for it, or give another output."
        )
        with file_lock(self.path / "lock", taken=taken):
            yield

    def begin(self, plan: Mapping[str, Any], *, resume: bool) -> bool:
        """Keeps the plan of a run, or compares it with that of the run to resume.

        Args:
            plan: Plain values that say what is prepared, and how.
            resume: Whether to continue a stopped run; False starts over.

        Returns:
            Whether there is a run to continue.

        Raises:
            InputError: if the stopped run had another plan.
        """
        path = self.path / PLAN_NAME
        if path.is_file() and resume:
            found = json.loads(path.read_text(encoding="utf-8"))
            differing = [name for name in plan if found.get(name) != plan[name]]
            if self.checkpoints() and differing:
                what = describe(differing[0], found, plan)
                raise InputError(
                    f"The stopped preparation of {self.output} cannot be continued: {what} "
                    "Run it as it was, or start over with `resume=False` (`tfchain prepare --restart`)."
                )
            if self.checkpoints() and not self.was_published():
                return True
        self.clear()
        write_json(path, plan)
        return False

    def was_published(self) -> bool:
        """Returns whether the shards of the last checkpoint are gone: the run was killed after its last step."""
        position = json.loads((self.checkpoints()[-1] / POSITION_NAME).read_text(encoding="utf-8"))
        return not all((self.set_path / shard["name"]).is_file() for shard in position["shards"])

    def checkpoints(self) -> list[Path]:
        """Returns the checkpoints, the latest last."""
        found = [path for path in self.path.glob(f"{CHECKPOINT_PREFIX}*") if path.is_dir()]
        return sorted(found, key=lambda path: int(path.name.removeprefix(CHECKPOINT_PREFIX)))

    def save(self, run: StepsRun, position: Mapping[str, Any]) -> None:
        """Writes a checkpoint, and deletes the one before."""
        earlier = self.checkpoints()
        number = int(earlier[-1].name.removeprefix(CHECKPOINT_PREFIX)) + 1 if earlier else 1
        with new_folder(self.path / f"{CHECKPOINT_PREFIX}{number}") as folder:
            states = folder / "states"
            states.mkdir()
            run.save_states(states)
            write_json(folder / POSITION_NAME, {**position, "logs": [log_to_plain(log) for log in run.logs]})
        for path in earlier:
            shutil.rmtree(path)

    def load(self, run: StepsRun) -> dict[str, Any]:
        """Restores states and logs from the latest checkpoint; returns its position."""
        latest = self.checkpoints()[-1]
        position: dict[str, Any] = json.loads((latest / POSITION_NAME).read_text(encoding="utf-8"))
        run.load_states(latest / "states")
        for log, values in zip(run.logs, position.pop("logs"), strict=True):
            restore_log(log, values)
        return position

    def clear(self) -> None:
        """Deletes all but the lock."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()
        self.set_path.mkdir()

    def remove_if_useless(self) -> None:
        """Deletes the folder of a run that failed before its first checkpoint."""
        remove_partials(self.path)
        if not self.checkpoints():
            self.remove()

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


def describe(name: str, found: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """Says what differs between two plans."""
    before, after = found.get(name), plan[name]
    if name == "sources" and isinstance(before, list) and isinstance(after, list):
        old, new = ({file["name"]: file for file in files} for files in (before, after))
        changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        if changed:
            return f"the source {changed[0]} was changed since, as were {len(changed) - 1} other files."
    if name == "steps" and isinstance(before, list) and isinstance(after, list):
        for number, (old_step, new_step) in enumerate(zip(before, after, strict=False)):
            if old_step != new_step:
                return f"steps[{number}] was {short(old_step)} then, and is {short(new_step)}."
        return f"it had {len(before)} steps then, and has {len(after)}."
    return f"`{name}` was {short(before)} then, and is {short(after)}."


def short(value: Any) -> str:
    """Returns a value for an error, on one line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"
