"""Steps and functions that the tests' pipelines use: in a module, as workers import them."""

import os
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import FilterStep, RecordStep, Step, TextStep


@dataclass(frozen=True)
class Shout(TextStep):
    name = "shout"

    def change(self, text: str, found: Counter[str]) -> str:
        return "" if text == "hush" else text.upper()


@dataclass(frozen=True)
class Halves(RecordStep):
    """Cuts documents in two."""

    name = "halves"

    def expand(self, record, log):
        words = record.text.split()
        for number, part in enumerate((words[: len(words) // 2], words[len(words) // 2 :])):
            if part:
                made = Document(f"{record.id}#{number}", " ".join(part))
                log.add(made, "half")
                yield made


@dataclass(frozen=True)
class KillOnce(FilterStep):
    """Kills its process at a document, if a file is there; deletes the file before."""

    name = "kill_once"
    at: str = ""
    file: str = ""

    def reason(self, record: Record) -> str | None:
        if record.id == self.at and Path(self.file).exists():
            Path(self.file).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return None


@dataclass(frozen=True)
class Refuse(FilterStep):
    """Refuses a document with an error."""

    name = "refuse"
    at: str = ""

    def reason(self, record: Record) -> str | None:
        if record.id == self.at:
            raise InputError(f"The document {record.id!r} is refused. Leave it out.")
        return None


@dataclass(frozen=True)
class NeedsCount(FilterStep):
    """Leaves out documents of few tokens, by a callable that the worker loads."""

    name = "needs_count"
    needs = ("count_tokens",)
    count_tokens: object = None

    def reason(self, record: Record) -> str | None:
        return "too few" if self.count_tokens([record.text])[0] < 3 else None


@dataclass(frozen=True)
class InOrder(Step):
    """A step that looks at all records in order."""

    name = "in_order"
    per_record = False


@dataclass(frozen=True)
class LoadCounting:
    """Loads a function that counts words, and notes in a folder that it was loaded."""

    notes: str

    def __call__(self):
        note(self.notes)
        return {"count_tokens": lambda texts: [len(text.split()) for text in texts]}


@dataclass(frozen=True)
class LoadSegmentFiles:
    """Loads a function that writes the ids of documents, notes each call, and dies in one of them on request."""

    notes: str
    die_at: str = ""

    def __call__(self):
        return self.make_files

    def make_files(self, documents):
        if documents[0].id == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        note(self.notes)
        return {"ids.txt": " ".join(document.id for document in documents).encode()}


def note(folder: str) -> None:
    """Leaves one more file in a folder."""
    Path(folder, str(len(list(Path(folder).iterdir())))).touch()
