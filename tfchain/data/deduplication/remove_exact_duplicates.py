"""The step that removes records whose texts repeat an earlier record's."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.deduplication.compared_text import check_columns, compared_label, compared_texts
from tfchain.data.deduplication.sorted_runs import SortedRuns
from tfchain.data.documents.words import cut_words
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

COMPARE = ("characters", "folded", "words")


@dataclass
class ExactState:
    """The hashes of the records kept so far, each with the record's number, and how many records came."""

    received: int = 0
    hashes: SortedRuns = field(default_factory=SortedRuns)


@dataclass(frozen=True)
class RemoveExactDuplicates(Step):
    """Removes records whose texts repeat an earlier record's; the first stays.

    Rows of equal texts with different labels or scores both stay: they contradict each other, which a check reports.
    It keeps 12 bytes for each different record: a hash of 64 bits and a number. Two different texts share a hash with
    a probability of n² / 2^65 among n records: one in 3,700 for 100 million.

    Args:
        compare: What must be equal: `characters`, all of them; `folded`, all but case, runs of white space and the
            compatibility forms of characters (full width and the like); `words`, only the words, without punctuation.
            Default: `folded`.
        columns: Columns of rows to compare, such as `["query"]`. Default: all texts, and the label.

    Raises:
        InputError: if `compare` is not one of these words, or `columns` is not a list of names.
    """

    name: ClassVar[str] = "remove_exact_duplicates"
    per_record: ClassVar[bool] = False
    compare: str = "folded"
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_columns(self.columns)
        if self.compare not in COMPARE:
            raise InputError(
                f"`compare` must be one of: {', '.join(COMPARE)}. Received: compare={self.compare!r}.",
                argument="compare",
            )

    def new_state(self) -> ExactState:
        """Returns the state of a run that has seen no record."""
        return ExactState()

    def process(self, records: Sequence[Record], log: StepLog, state: ExactState) -> list[Record]:
        """Keeps the records whose texts did not occur before. A record without texts stays."""
        hashes = [self.hash(record) for record in records]
        places, numbers = state.hashes.find(np.array([key or 0 for key in hashes], np.uint64))
        first: dict[int | None, int] = {hashes[place]: int(n) for place, n in zip(places, numbers, strict=True)}
        first.pop(None, None)
        new: dict[int, int] = {}
        kept: list[Record] = []
        for number, (record, key) in enumerate(zip(records, hashes, strict=True), state.received + 1):
            if key in first:
                log.drop(record, "exact duplicate", f"repeats record number {first[key]} of those that came here")
                continue
            kept.append(record)
            if key is not None:
                first[key] = new[key] = number
        state.hashes.add(np.fromiter(new, np.uint64, len(new)), np.fromiter(new.values(), np.uint32, len(new)))
        state.received += len(records)
        return kept

    def hash(self, record: Record) -> int | None:
        """Returns 64 bits of the hash of what is compared; `None` if there is no text."""
        texts = compared_texts(record, self.columns)
        parts = [f"{name}\0{fold(text, self.compare)}" for name, text in sorted(texts.items()) if text.strip()]
        if not parts:
            return None
        whole = "\0\0".join((*parts, compared_label(record, self.columns)))
        return int.from_bytes(blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")

    def save_state(self, state: ExactState, folder: Path) -> None:
        """Writes the hashes and the number of records."""
        state.hashes.save(folder)
        (folder / "state.json").write_text(json.dumps({"received": state.received}), encoding="utf-8")

    def load_state(self, folder: Path) -> ExactState:
        """Reads what `save_state` wrote."""
        values: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return ExactState(values["received"], SortedRuns.load(folder))


def fold(text: str, compare: str) -> str:
    """Returns a text without the differences that do not count."""
    if compare == "characters":
        return text
    if compare == "words":
        return " ".join(cut_words(text)) or fold(text, "folded")
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold().split())
