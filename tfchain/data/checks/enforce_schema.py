"""The step `enforce_schema`: rows that break a schema are dropped and counted, or end the run."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.checks.check_schema import SchemaChecker, describe
from tfchain.data.checks.schema import Schema
from tfchain.data.steps.record import Record, record_id
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog


@dataclass(frozen=True)
class EnforceSchema(Step):
    """Lets through only rows that keep to a schema.

    Bounds in tokens and languages are not checked here, since they need a tokenizer and a detector: `check_schema`
    takes both, and steps that filter by length and language are steps of their own. Values of unique columns are
    remembered as hashes.

    Args:
        path: The schema's file, as `Schema.write` writes it.
        action: `drop` leaves out rows that break it, counted by column and problem; `error` ends the run at the first.
            Default: `drop`.

    Raises:
        InputError: if `action` is another word.
    """

    name = "enforce_schema"
    per_record = False  # the second of two rows with the same unique value is dropped

    path: str
    action: str = "drop"

    def __post_init__(self) -> None:
        if self.action not in ("drop", "error"):
            raise InputError(
                f"`action` must be 'drop' or 'error'. Received: action={self.action!r}.", argument="action"
            )

    def new_state(self) -> SchemaChecker:
        """Reads the schema.

        Raises:
            InputError: if the file is missing, or is not a schema.
        """
        return SchemaChecker(Schema.read(self.path))

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Keeps the records that break nothing."""
        checker: SchemaChecker = state
        kept: list[Record] = []
        for record in records:
            violations = checker.check(record)
            if not violations:
                kept.append(record)
                continue
            if self.action == "error":
                raise InputError(
                    f"The record {record_id(record)!r} breaks the schema {self.path}: {describe(violations)}. Correct "
                    "it or the schema, or use action='drop'."
                )
            log.drop(record, f"{violations[0].column}: {violations[0].problem}", describe(violations))
        return kept

    def save_state(self, state: Any, folder: Path) -> None:
        """Writes the hashes of the values seen in unique columns."""
        checker: SchemaChecker = state
        for number, column in enumerate(checker.schema.columns):
            if checker.seen.get(column):
                np.save(folder / f"{number}.npy", np.fromiter(checker.seen[column], np.uint64))

    def load_state(self, folder: Path) -> SchemaChecker:
        """Reads what `save_state` wrote."""
        checker = self.new_state()
        checker.seen = defaultdict(set)
        for number, column in enumerate(checker.schema.columns):
            path = folder / f"{number}.npy"
            if path.exists():
                checker.seen[column] = set(np.load(path).tolist())
        return checker
