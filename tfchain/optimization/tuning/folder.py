"""The folder of a search: its identity, its trials, and the measurements of the models' shapes."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfchain.core.atomic import PARTIAL_PREFIX, write_json
from tfchain.core.errors import InputError
from tfchain.optimization.tuning.report import TrialReport

IDENTITY_FILE = "tuning.json"
ORACLE = "oracle"
FORMAT = 1


class TuningFolder:
    """Keeps what a search has found, so that it can resume after a kill.

    `tuning.json` says what is searched; `oracle/` belongs to KerasTuner; `trials/` has a file for each finished trial,
    `shapes/` one for each measured shape, and `logs/` TensorBoard's events.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Creates the folder, or checks that the search begun there is this one.

        Args:
            identity: Plain values that distinguish one search from another.

        Raises:
            InputError: if the folder holds something else, or another search.
        """
        file = self.path / IDENTITY_FILE
        wanted = json.loads(json.dumps({"format": FORMAT, **identity}))
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"`path` must be a folder. Received: {self.path}, which is a file. Name another one.")
        # Another worker may be writing the file at this moment.
        there = {entry.name for entry in self.path.glob("*") if not entry.name.startswith(PARTIAL_PREFIX)}
        if IDENTITY_FILE not in there:
            if there:
                raise InputError(
                    f"`path` must be a new or an empty folder, or that of this search. Received: {self.path}, which "
                    "holds something else. Name another one."
                )
            write_json(file, wanted)
            return
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{file} cannot be read: {type(error).__name__}: {error}. Name another folder.") from error
        differing = [name for name in wanted if found.get(name) != wanted[name]]
        if differing:
            name = differing[0]
            if "model" in differing:
                raise InputError(
                    f"{self.path} holds a search with other weights than the model's; a refit or `fit` changes them. "
                    "Make the same call with a fresh chain to resume it, or name another folder."
                )
            raise InputError(
                f"{self.path} holds another search: it differs in {', '.join(differing)} ({name} there: "
                f"{json.dumps(found.get(name)):.100}; here: {json.dumps(wanted[name]):.100}). Name another folder, or "
                "make the same call to resume it."
            )

    def read_trial(self, id: str, values: Mapping[str, Any]) -> TrialReport | None:
        """Reads the report of a trial with these values; None if it has not ended."""
        file = self.path / "trials" / f"{id}.json"
        if not file.is_file():
            return None
        kept = TrialReport.from_dict(json.loads(file.read_text(encoding="utf-8")))
        return kept if dict(kept.values) == json.loads(json.dumps(dict(values))) else None

    def write_trial(self, report: TrialReport) -> None:
        """Stores a trial's report."""
        write_json(self.path / "trials" / f"{report.id}.json", report.to_dict())

    def read_trials(self) -> list[TrialReport]:
        """Reads the reports of all finished trials, in the order in which they were begun."""
        reports = []
        for file in sorted(self.path.glob(f"{ORACLE}/trial_*/trial.json"), key=lambda path: int(path.parent.name[6:])):
            state = json.loads(file.read_text(encoding="utf-8"))
            own = self.path / "trials" / f"{state['trial_id']}.json"
            if state["status"] != "RUNNING" and own.is_file():
                reports.append(TrialReport.from_dict(json.loads(own.read_text(encoding="utf-8"))))
        return reports

    def has_running(self) -> bool:
        """Whether a trial has begun and not ended."""
        files = self.path.glob(f"{ORACLE}/trial_*/trial.json")
        return any(json.loads(file.read_text(encoding="utf-8"))["status"] == "RUNNING" for file in files)

    def log_path(self, id: str) -> Path:
        """The folder of a trial's logs."""
        return self.path / "logs" / id


@contextlib.contextmanager
def open_folder(path: str | Path | None) -> Iterator[TuningFolder]:
    """Opens the folder of a search; without a path, a temporary folder that is removed when the block ends."""
    if path is not None:
        yield TuningFolder(Path(path))
        return
    with tempfile.TemporaryDirectory(prefix="tfchain-tuning-") as name:
        yield TuningFolder(Path(name))
