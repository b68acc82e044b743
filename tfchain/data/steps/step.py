"""The contract of a step, and the three usual kinds: a change of texts, a filter, and records made from records."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Self

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.steps.pages import change_pages, page_starts_of, with_page_starts
from tfchain.data.steps.record import Record, change_texts, record_id, texts_of
from tfchain.data.steps.step_log import StepLog

BLOCK_RECORDS = 1024


@dataclass(frozen=True)
class Step:
    """One step of preparing data: records in, records out, with a log of what it did.

    A step is its settings: a frozen dataclass of plain values, so that a file can name it and a card can show it.
    What it learns while it runs is in a state of its own, which the runner keeps, so that a killed preparation resumes.
    Subclass `TextStep` to change texts, `FilterStep` to leave records out, `RecordStep` to make records from a record,
    and this class for what looks at many records (duplicates).

    A step called with records runs alone:

        kept = list(FilterLength(least=200)(documents))

    Attributes:
        name: The name in a file and in reports: a verb and its object, such as `repair_text`.
        per_record: Whether what becomes of a record depends on that record alone, so that records may be processed in
            any order, on any worker.
        needs: The names of fields that hold callables, `None` by default, such as `count_tokens` and `encode`: what a
            model does, which is no plain value. A run fills them; see `bind`.
    """

    name: ClassVar[str]
    per_record: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()

    def new_state(self) -> Any:
        """Returns the state of a run that has seen no record: `None` if the step needs none."""
        return None

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Processes a block of records.

        Args:
            records: The next records, in order; not to be changed.
            log: Where to count what is dropped, changed and added. The runner counts what comes in and goes out.
            state: What `new_state` returned, as earlier blocks left it.

        Returns:
            The records to pass on, in order. The result must not depend on how the records are cut into blocks.
        """
        raise NotImplementedError

    def finish(self, log: StepLog, state: Any) -> list[Record]:
        """Returns the records that the step held back until all had been seen. Default: none."""
        return []

    def save_state(self, state: Any, folder: Path) -> None:
        """Writes a state into an empty folder, so that `load_state` can read it. Steps without state write nothing."""

    def load_state(self, folder: Path) -> Any:
        """Reads a state that `save_state` wrote."""
        return self.new_state()

    def settings(self) -> dict[str, Any]:
        """Returns the step's settings as plain values, for cards and fingerprints. Callables are not among them."""
        return {
            field.name: deepcopy(getattr(self, field.name)) for field in fields(self) if field.name not in self.needs
        }

    def bind(self, **callables: Callable[..., Any]) -> Self:
        """Returns the step with the callables that it needs and does not have.

        Args:
            callables: By name. Others are left out, so that a runner gives all steps all it has.

        Example:
            >>> list(SplitPassages().bind(count_tokens=count_tokens)(documents))  # doctest: +SKIP
        """
        found: dict[str, Any] = {name: callables[name] for name in self.missing() if name in callables}
        return replace(self, **found) if found else self

    def missing(self) -> list[str]:
        """Returns the names of the callables that the step needs and does not have."""
        return [name for name in self.needs if getattr(self, name) is None]

    def check_bound(self) -> None:
        """Raises an InputError if the step lacks a callable that it needs."""
        for name in self.missing():
            raise InputError(
                f"The step {self.name} needs `{name}`, which comes from a model. Received: none. Give it to the step, "
                f"`{type(self).__name__}({name}=…)`, or to the run, `prepare(…, callables={{{name!r}: …}})`; "
                "`chain.add(…, steps=…)` has its own."
            )

    def __call__(self, records: Iterable[Record]) -> Iterator[Record]:
        """Runs the step alone.

        Args:
            records: Documents or rows.

        Yields:
            What the step makes of them.

        Raises:
            InputError: if the step lacks a callable that it needs.
        """
        self.check_bound()
        log, state = StepLog(self.name), self.new_state()
        remaining = iter(records)
        while block := list(islice(remaining, BLOCK_RECORDS)):
            yield from self.process(block, log, state)
        yield from self.finish(log, state)


@dataclass(frozen=True)
class TextStep(Step):
    """A step that changes each text by itself. A record with no text left is dropped.

    A document with `page_starts` in its metadata is changed page by page, and they stay right.
    """

    def change(self, text: str, found: Counter[str]) -> str:
        """Returns the new text.

        Args:
            text: The text.
            found: Counts reasons, such as `e-mail`, where a step has several; left empty, the reason is the step's
                name.
        """
        raise NotImplementedError

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Changes the texts of each record."""
        passed: list[Record] = []
        for record in records:
            found: Counter[str] = Counter()
            texts: dict[str, str] = {}
            page_starts = page_starts_of(record) if isinstance(record, Document) else []
            for name, text in texts_of(record).items():
                if name == "text" and page_starts:
                    change = partial(self.change, found=found)
                    texts[name], page_starts = change_pages(text, page_starts, change)
                else:
                    texts[name] = self.change(text, found)
            if not any(text.strip() for text in texts.values()):
                log.drop(record, "no text left" if texts else "no text")
                continue
            if isinstance(record, Document) and not texts["text"].strip():
                texts["text"] = ""
            changed = change_texts(record, lambda name, text, texts=texts: texts[name])  # type: ignore[misc]
            if changed is not record:
                changed = with_page_starts(changed, page_starts)
                for reason in found or (self.name,):
                    log.change(record, changed, reason)
            passed.append(changed)
        return passed


@dataclass(frozen=True)
class FilterStep(Step):
    """A step that leaves records out."""

    def reason(self, record: Record) -> str | None:
        """Returns why a record is left out, in words that are the same for all such records; `None` keeps it."""
        raise NotImplementedError

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Keeps the records that have no reason to be left out."""
        kept: list[Record] = []
        for record in records:
            reason = self.reason(record)
            if reason is None:
                kept.append(record)
            else:
                log.drop(record, reason)
        return kept


@dataclass(frozen=True)
class RecordStep(Step):
    """A step that makes any number of records from one: passages of a document, augmented copies of a row."""

    def expand(self, record: Record, log: StepLog) -> Iterable[Record]:
        """Yields what becomes of a record: itself, others, or nothing.

        Args:
            record: The record.
            log: Where to count what is added, changed or dropped.
        """
        raise NotImplementedError

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Makes records of each record."""
        return [made for record in records for made in self.expand(record, log)]


def random_of(seed: int, step: str, record: Record) -> Random:
    """Returns a random generator that depends on the seed, the step and the record's id alone.

    So a step makes the same choices for a record on every machine, in any order, and when a run resumes.
    """
    return Random(f"{seed}\0{step}\0{record_id(record)}")
