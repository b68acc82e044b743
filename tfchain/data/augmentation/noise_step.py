"""The kind of step that disturbs texts: changed records, or changed copies beside them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Self, cast

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.steps.record import Record, change_texts, record_id
from tfchain.data.steps.step import RecordStep, random_of
from tfchain.data.steps.step_log import StepLog


@dataclass(frozen=True)
class NoiseStep(RecordStep):
    """A step that disturbs texts at random, so that a model learns to read what people really write.

    The choices depend on the seed and the record alone. In `fit(augment=[…])` each epoch makes others, and `copies`
    must be 0.

    Args:
        rate: The share of words (or characters) that are disturbed, in [0, 1]. Default: 0.1.
        share: The share of texts that are disturbed at all, in [0, 1]. Default: 1.
        columns: The texts to disturb, such as `("query",)`. Default: all texts of a record.
        copies: How many disturbed copies stand beside each record. Default: 0, the record itself is disturbed.
        seed: The seed of the choices. Default: 0.

    Raises:
        InputError: if a value is out of range.
    """

    rate: float = 0.1
    share: float = 1.0
    columns: tuple[str, ...] = ()
    copies: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rate", "share"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
                raise InputError(f"`{name}` must be in [0, 1]. Received: {name}={value!r}.", argument=name)
        check_whole_number("copies", self.copies, least=0)
        if isinstance(cast(Any, self.columns), str):
            raise InputError(f"`columns` must be a list of names. Received: columns={self.columns!r}.")

    def disturb(self, text: str, random: Random) -> str:
        """Returns a disturbed text.

        Args:
            text: The text, not blank.
            random: The source of all choices.
        """
        raise NotImplementedError

    def expand(self, record: Record, log: StepLog) -> Iterator[Record]:
        """Yields the disturbed record, or the record and its disturbed copies; a copy without a change is left out."""
        if not self.copies:
            changed = self.alter(record, random_of(self.seed, self.name, record))
            if changed is not record:
                log.change(record, changed, self.name)
            yield changed
            return
        yield record
        for number in range(1, self.copies + 1):
            changed = self.alter(record, random_of(self.seed, f"{self.name}/{number}", record))
            if changed is not record:
                made = with_id(changed, f"{record_id(record)}~{self.name}{number}")
                log.add(made, self.name)
                yield made

    def alter(self, record: Record, random: Random) -> Record:
        """Returns a record with its chosen texts disturbed; a text that nothing would be left of stays as it is."""

        def change(name: str, text: str) -> str:
            wanted = not self.columns or name.partition("[")[0] in self.columns
            if not wanted or not text.strip() or random.random() >= self.share:
                return text
            disturbed = self.disturb(text, random)
            return disturbed if disturbed.strip() else text

        return change_texts(record, change)

    def seeded(self, seed: int) -> Self:
        """Returns the same step with another seed."""
        return replace(self, seed=seed)


def with_id(record: Record, id: str) -> Record:
    """Returns a record with another id; a row gets one under the name that it has, else `id`."""
    if isinstance(record, Document):
        return replace(record, id=id)
    name = next((name for name in ("id", "_id", "docid") if record.get(name) is not None), "id")
    row: dict[str, Any] = {**record, name: id}
    return row
