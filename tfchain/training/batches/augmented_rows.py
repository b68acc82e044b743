"""Rows that are augmented anew in each epoch, before they are tokenized."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.pairs.columns import standard_names
from tfchain.data.pairs.reading import Pairs
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.batches.layout import TrainingSet
from tfchain.training.batches.training_data import NamedPairs, make_judged, make_training_set

CHECKED_ROWS = 8


class RowAugmenter:
    """Runs steps over the rows of a batch and tokenizes what comes out.

    What becomes of a row depends on the steps' seeds, the epoch and the row's number alone, so every worker, and a
    training that resumes, sees the same. A row that a step drops stays as it was. Labels and judgements are those of
    the row as it was read; so are the keys by which in-batch negatives are told from the same document.

    Args:
        steps: The steps; each must give one row for a row.
        datasets: Returns the datasets as they are; mining changes them between epochs.
        text_encoder: Supplies the tokenizer and the prompts.
    """

    def __init__(
        self, steps: Sequence[Step], datasets: Callable[[], Sequence[NamedPairs]], text_encoder: TextEncoder
    ) -> None:
        self.steps = tuple(steps)
        self.datasets = datasets
        self.text_encoder = text_encoder

    def __call__(self, source: int, epoch: int, rows: np.ndarray) -> TrainingSet:
        """Returns a training set of some rows, augmented for an epoch.

        Args:
            source: The dataset's number.
            epoch: The epoch, from 0.
            rows: The rows' numbers.
        """
        named = self.datasets()[source]
        pairs = take_rows(named.pairs, rows)
        augmented = dataclasses.replace(pairs, columns=self.augment(pairs, epoch, rows))
        made = make_training_set(dataclasses.replace(named, pairs=augmented), self.text_encoder, progress=False)
        keys = pairs.keys()
        copies = made.num_columns // keys.shape[1]
        return dataclasses.replace(made, keys=np.repeat(keys, copies, axis=1), judged=make_judged(pairs))

    def augment(self, pairs: Pairs, epoch: int, rows: np.ndarray) -> tuple[list[str], ...]:
        """Returns the columns of rows after all steps."""
        names = standard_names(pairs.num_columns, symmetric=pairs.symmetric)
        current: list[dict[str, Any]] = [
            {**dict(zip(names, texts, strict=True)), "id": f"{epoch}/{number}"}
            for number, texts in zip(rows.tolist(), zip(*pairs.columns, strict=True), strict=True)
        ]
        for step in self.steps:
            made = step.process(current, StepLog(step.name), step.new_state())
            current = keep_rows(step, current, made, names)
        return tuple([row[name] for row in current] for name in names)

    def check(self) -> None:
        """Augments a few rows of each dataset.

        Raises:
            InputError: if a step gives more than a row for a row, or refuses them.
        """
        for source, named in enumerate(self.datasets()):
            self(source, 0, np.arange(min(CHECKED_ROWS, len(named.pairs))))


def check_augment(steps: Sequence[Step], datasets: Sequence[NamedPairs], *, is_sharded: bool) -> None:
    """Raises if rows cannot be augmented in this training.

    Args:
        steps: The steps.
        datasets: The rows.
        is_sharded: Whether rows are read from shards.

    Raises:
        InputError: if a step looks at many rows, the rows are in shards, or a loss needs a guide's vectors.
    """
    together = [step.name for step in steps if not step.per_record]
    if together:
        raise InputError(
            f"`augment` takes steps that look at one row at a time. Received: {together[0]}. Run it before training: "
            "rows = list(step(rows)).",
            argument="augment",
        )
    if is_sharded:
        raise InputError(
            "`augment` needs the rows in memory. Received: PairShards. Run the steps before the shards are written.",
            argument="augment",
        )
    guided = [named.loss.name for named in datasets if named.loss.needs_guide]
    if guided:
        raise InputError(
            f"`augment` does not go with a loss that reads a guide's vectors, which are computed once. Received: "
            f"loss={guided[0]!r}. Run the steps before training, or choose another loss.",
            argument="augment",
        )


def take_rows(pairs: Pairs, rows: np.ndarray) -> Pairs:
    """Returns some rows."""
    numbers = rows.tolist()
    return Pairs(
        tuple([column[number] for number in numbers] for column in pairs.columns),
        None if pairs.labels is None else pairs.labels[rows],
        None if pairs.relevant is None else tuple(pairs.relevant[number] for number in numbers),
        pairs.symmetric,
    )


def keep_rows(
    step: Step, before: Sequence[dict[str, Any]], made: Sequence[Record], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns what a step made of each row; a row that it dropped, or a text that it emptied, as it was.

    Raises:
        InputError: if the step made further rows.
    """
    found: dict[str, Mapping[str, Any]] = {}
    known = {row["id"] for row in before}
    for record in made:
        if not isinstance(record, Mapping) or record.get("id") not in known or record["id"] in found:
            raise InputError(
                f"`augment` takes steps that give one row for a row. Received: {step.name}, which adds rows. Set "
                "copies=0 if it has that setting, or run it before training: rows = list(step(rows)).",
                argument="augment",
            )
        found[record["id"]] = record
    kept: list[dict[str, Any]] = []
    for row in before:
        new = found.get(row["id"], row)
        texts = {name: new.get(name) for name in names}
        kept.append(
            {
                "id": row["id"],
                **{name: text if isinstance(text, str) and text.strip() else row[name] for name, text in texts.items()},
            }
        )
    return kept
