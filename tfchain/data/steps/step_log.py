"""What a step did: counts by reason, examples, and each dropped or changed record for a side file."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from tfchain.data.steps.record import Record, record_id, texts_of, to_dict

Action = Literal["dropped", "changed", "added"]
NUM_EXAMPLES = 3
SHOWN_CHARACTERS = 200  # of each text of an example

WriteEntry = Callable[[dict[str, Any]], None]


@dataclass
class StepLog:
    """What one step of a preparation did.

    Args:
        step: The step's name.
        write: Receives an entry for each record that was dropped or changed: `step`, `action`, `reason`, `id`, for a
            dropped record `record`, for a changed one `before` and `after` (the texts that differ), and `detail`
            where the step has one. Default: entries are not kept.
        num_examples: How many entries to keep of each action and reason. Default: 3.

    Attributes:
        received: Records that came in.
        passed: Records that went out.
        dropped: Records that were left out, by reason.
        changed: Records that were changed, by reason. A record changed for two reasons counts under both.
        added: Records that were added, by reason.
        examples: The first entries of each `(action, reason)`, with texts cut to 200 characters.
        seconds: The time spent in the step.
    """

    step: str
    write: WriteEntry | None = None
    num_examples: int = NUM_EXAMPLES
    received: int = 0
    passed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    added: Counter[str] = field(default_factory=Counter)
    examples: dict[tuple[Action, str], list[dict[str, Any]]] = field(default_factory=dict)
    seconds: float = 0.0

    def drop(self, record: Record, reason: str, detail: str = "") -> None:
        """Counts a record that the step leaves out.

        Args:
            record: The record.
            reason: Why, in a few words that are the same for all such records.
            detail: What is particular to this record, such as the id of the record that it repeats.
        """
        self.dropped[reason] += 1
        self._keep("dropped", reason, record, detail, lambda: {"record": to_dict(record)})

    def change(self, before: Record, after: Record, reason: str, detail: str = "") -> None:
        """Counts a record that the step changed, once for each reason."""
        self.changed[reason] += 1
        self._keep("changed", reason, before, detail, lambda: differing_texts(before, after))

    def add(self, record: Record, reason: str, detail: str = "") -> None:
        """Counts a record that the step made."""
        self.added[reason] += 1
        self._keep("added", reason, record, detail, lambda: {"record": to_dict(record)}, in_file=False)

    def merge(self, other: "StepLog") -> None:
        """Adds what another worker's log of the same step counted."""
        self.received += other.received
        self.passed += other.passed
        self.seconds += other.seconds
        for mine, its in ((self.dropped, other.dropped), (self.changed, other.changed), (self.added, other.added)):
            mine.update(its)
        for key, entries in other.examples.items():
            kept = self.examples.setdefault(key, [])
            kept += entries[: self.num_examples - len(kept)]

    def to_dict(self) -> dict[str, Any]:
        """Returns the counts and examples as plain values."""
        return {
            "step": self.step,
            "received": self.received,
            "passed": self.passed,
            "dropped": dict(self.dropped),
            "changed": dict(self.changed),
            "added": dict(self.added),
            "examples": [entry for entries in self.examples.values() for entry in entries],
            "seconds": round(self.seconds, 3),
        }

    def _keep(
        self,
        action: Action,
        reason: str,
        record: Record,
        detail: str,
        content: Callable[[], dict[str, Any]],
        in_file: bool = True,
    ) -> None:
        """Keeps an entry as an example if there are few yet, and writes it to the side file."""
        kept = self.examples.setdefault((action, reason), [])
        wanted = self.write is not None and in_file
        if len(kept) >= self.num_examples and not wanted:
            return
        entry = {"step": self.step, "action": action, "reason": reason, "id": record_id(record)}
        if detail:
            entry["detail"] = detail
        entry |= content()
        if len(kept) < self.num_examples:
            kept.append(shorten(entry))
        if self.write is not None and in_file:
            self.write(entry)


def differing_texts(before: Record, after: Record) -> dict[str, Any]:
    """Returns the texts that differ, as they were and as they are."""
    old, new = texts_of(before), texts_of(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return {
        "before": {name: old[name] for name in names if name in old},
        "after": {name: new[name] for name in names if name in new},
    }


def shorten(value: Any) -> Any:
    """Returns a value with all strings in it cut to 200 characters."""
    if isinstance(value, str):
        return value if len(value) <= SHOWN_CHARACTERS else value[:SHOWN_CHARACTERS] + "…"
    if isinstance(value, dict):
        return {key: shorten(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [shorten(inner) for inner in value]
    return value
