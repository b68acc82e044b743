"""What steps have in common that mask what they find, or leave out the records that have some."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tfchain.data.cleaning.setting_checks import check_word
from tfchain.data.steps.record import Record, texts_of
from tfchain.data.steps.step import TextStep
from tfchain.data.steps.step_log import StepLog

ACTIONS = ("mask", "drop")


@dataclass(frozen=True)
class MaskStep(TextStep):
    """A step whose `change` masks what it finds and counts each kind.

    Args:
        action: `mask`, or `drop` for records with any. Default: `mask`.

    Attributes:
        what: What is found, for the reason of a record that is left out.
    """

    what: ClassVar[str]
    action: str = "mask"

    def __post_init__(self) -> None:
        check_word("action", self.action, ACTIONS)

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Masks, or drops."""
        if self.action == "mask":
            return super().process(records, log, state)
        kept: list[Record] = []
        for record in records:
            found: Counter[str] = Counter()
            for text in texts_of(record).values():
                self.change(text, found)
            if found:
                log.drop(record, f"{self.what}: {', '.join(sorted(found))}")
            else:
                kept.append(record)
        return kept
