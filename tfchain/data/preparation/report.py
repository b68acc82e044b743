"""The report of a preparation: what went in and out, and what each step did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfchain.data.steps.step_log import StepLog


@dataclass(frozen=True)
class PreparationReport:
    """What a preparation did.

    Args:
        read: Records that were read.
        written: Records that came out.
        steps: What each step did.
    """

    read: int
    written: int
    steps: tuple[StepLog, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns the counts and examples as plain values, without times: the same data gives the same values."""
        return {"read": self.read, "written": self.written, "steps": [step_values(log) for log in self.steps]}

    def rows(self) -> list[tuple[str, int, int, int, int, int, str]]:
        """Returns for each step its name, how many records it received, dropped, changed, added and passed, and why."""
        return [
            (
                *(log.step, log.received, sum(log.dropped.values()), sum(log.changed.values())),
                *(sum(log.added.values()), log.passed, reasons_of(log)),
            )
            for log in self.steps
        ]

    def __str__(self) -> str:
        lines = [f"{self.read:,} records read, {self.written:,} written"]
        for log in self.steps:
            reasons = reasons_of(log)
            lines.append(f"  {log.step}: {log.received:,} → {log.passed:,}" + (f" ({reasons})" if reasons else ""))
        return "\n".join(lines)


def step_values(log: StepLog) -> dict[str, Any]:
    """Returns a log without its time."""
    values = log.to_dict()
    del values["seconds"]
    return values


def reasons_of(log: StepLog) -> str:
    """Returns what a step did, by reason, the most frequent first."""
    parts: list[str] = []
    counted: Sequence[tuple[str, Mapping[str, int]]] = (
        *(("dropped", log.dropped), ("changed", log.changed), ("added", log.added)),
    )
    for action, counts in counted:
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        parts += [f"{action}, {reason}: {number:,}" for reason, number in ranked]
    return "; ".join(parts)


def log_to_plain(log: StepLog) -> dict[str, Any]:
    """Returns a log as plain values from which `restore_log` makes it again."""
    return {
        **log.to_dict(),
        "seconds": log.seconds,
        "examples": [[*key, entries] for key, entries in log.examples.items()],
    }


def restore_log(log: StepLog, values: Mapping[str, Any]) -> None:
    """Sets a new log to what `log_to_plain` returned."""
    log.received, log.passed, log.seconds = values["received"], values["passed"], values["seconds"]
    for name in ("dropped", "changed", "added"):
        getattr(log, name).update(values[name])
    for action, reason, entries in values["examples"]:
        log.examples[action, reason] = entries
