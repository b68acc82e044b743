"""What the gate found about a version: the report that stays with it as `blessing.json` and `blessing.html`."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfchain.core.atomic import write_file, write_json
from tfchain.core.errors import InputError
from tfchain.deployment.releases.comparison import Comparison

BLESSING = "blessing.json"  # in a version's folder
BLESSING_PAGE = "blessing.html"
_FORMAT = 1

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """One check of the gate.

    Args:
        name: `ops`, `proofs`, `metric`, `latency`, `size`, `answers`.
        outcome: `passed`, `failed`, or `skipped` if there was nothing to compare or no limit.
        message: What was found, in one sentence; for a failed check also what to do.
        values: The figures. Default: none.
    """

    name: str
    outcome: Outcome
    message: str
    values: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class ReleaseReport:
    """The gate's report on a version.

    Args:
        model: The model's name, the base path's folder.
        version: The version.
        live: The version it was compared with; None for the first one.
        contents: The content hash of the version: the report is about these bytes.
        fingerprint: The model's fingerprint, if its export wrote one.
        at: When, in UTC.
        checks: The checks, in order.
        comparison: The metric of both versions and the test of their difference; None if they were not compared.
        limits: The limits, as plain values.
        measured_on: The processor, and the load of the machine at the time.
    """

    model: str
    version: int
    live: int | None
    contents: str
    fingerprint: str
    at: str
    checks: tuple[Check, ...]
    comparison: Comparison | None
    limits: dict[str, Any]
    measured_on: str

    @property
    def passed(self) -> bool:
        """Whether the version may go live: no check failed."""
        return all(check.outcome != "failed" for check in self.checks)

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why it may not."""
        return tuple(check.message for check in self.checks if check.outcome == "failed")

    def to_json(self) -> dict[str, Any]:
        """Returns the report as plain values."""
        return {"format": _FORMAT, "passed": self.passed, **dataclasses.asdict(self)}


def write_report(version_path: Path | str, report: ReleaseReport) -> Path:
    """Writes a report into its version's folder: first the page, then `blessing.json`, each in one step.

    Returns:
        The path of `blessing.json`.
    """
    from tfchain.deployment.releases.report_page import make_page

    folder = Path(version_path)
    write_file(folder / BLESSING_PAGE, make_page(report))
    return write_json(folder / BLESSING, report.to_json())


def read_report(version_path: Path | str) -> ReleaseReport | None:
    """Reads a version's report; None if it has none.

    Raises:
        InputError: if the file is damaged.
    """
    file = Path(version_path) / BLESSING
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        names = [field.name for field in dataclasses.fields(ReleaseReport)]
        found = {name: values[name] for name in names}
        found["checks"] = tuple(Check(**check) for check in found["checks"])
        found["comparison"] = None if found["comparison"] is None else Comparison(**found["comparison"])
        return ReleaseReport(**found)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{file} must be what `tfchain release` wrote. Received: a file that cannot be read ({error!r:.100}). "
            f"Run `tfchain release {Path(version_path)}` again."
        ) from error
