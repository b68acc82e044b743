"""The step that removes lines that many documents repeat: navigation, cookie banners, legal notices."""

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.steps.pages import change_document_text
from tfchain.data.steps.record import Record
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

TABLES = 2
CELLS = 1 << 24  # of each table; a byte each
FENCE = re.compile(r"\s*(?:```|~~~)")
MARKDOWN = re.compile(r"\s*(?:#|\||>|```|~~~)")  # headings, tables, quotes and code repeat for good reason


@dataclass
class LineCounts:
    """In how many documents each line was, roughly: two tables of counters, of which the smaller counts.

    A count-min sketch (Cormode and Muthukrishnan 2005): it never counts too little, and too much only once there are
    far more lines than cells. With 20 million different lines a line seen once counts as ten with a probability below
    one in a million.
    """

    tables: np.ndarray[Any, np.dtype[np.uint8]] = field(default_factory=lambda: np.zeros((TABLES, CELLS), np.uint8))

    def add(self, digest: bytes) -> int:
        """Counts a line, and returns how often it was there before."""
        cells = [int.from_bytes(digest[start : start + 4], "little") % CELLS for start in range(0, 4 * TABLES, 4)]
        before = min(int(self.tables[table, cell]) for table, cell in enumerate(cells))
        if before < 255:
            for table, cell in enumerate(cells):
                if self.tables[table, cell] == before:
                    self.tables[table, cell] += 1
        return before


@dataclass(frozen=True)
class RemoveRepeatedLines(Step):
    """Removes lines that many documents of a source repeat, such as menus, cookie banners and legal notices.

    CCNet (Wenzek et al. 2020, section 3.1) removes repeated paragraphs of web pages in this way. A line stays in the
    first documents that have it, and goes from all later ones: what is a repetition is only known then. Headings,
    tables, quotes and code in Markdown stay, and so do lines without letters. Rows pass unchanged.

    It keeps 32 MB, however many records come.

    Args:
        after: How many documents keep a line before it goes. Default: 10, so that small collections lose nothing.
        source: The key in a document's metadata that names its source, such as `site`: lines are counted in each source
            by itself. Default: `""`, all documents are one source.

    Raises:
        InputError: if `after` is not from 1 to 254.
    """

    name: ClassVar[str] = "remove_repeated_lines"
    per_record: ClassVar[bool] = False
    after: int = 10
    source: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.after, int) or isinstance(self.after, bool) or not 1 <= self.after <= 254:
            raise InputError(f"`after` must be from 1 to 254. Received: after={self.after!r}.", argument="after")

    def new_state(self) -> LineCounts:
        """Returns the state of a run that has seen no record."""
        return LineCounts()

    def process(self, records: Sequence[Record], log: StepLog, state: LineCounts) -> list[Record]:
        """Removes the lines that were in many documents before."""
        passed: list[Record] = []
        for record in records:
            if not isinstance(record, Document):
                passed.append(record)
                continue
            repeated = self.find_repeated(record, state)
            if not repeated:
                passed.append(record)
                continue
            if not record.title.strip() and not without_lines(record.text, repeated).strip():
                log.drop(record, "only repeated lines")
                continue
            changed = change_document_text(record, lambda text, lines=repeated: without_lines(text, lines))  # type: ignore[misc]
            log.change(record, changed, "repeated lines")
            passed.append(changed)
        return passed

    def find_repeated(self, document: Document, state: LineCounts) -> set[str]:
        """Returns which lines of a document go, and counts its lines, each once."""
        source = str(document.metadata.get(self.source, "")) if self.source else ""
        repeated: set[str] = set()
        keys = {key: None for _, key in keyed_lines(document.text) if key}
        for key in keys:
            digest = blake2b(f"{source}\0{key}".encode("utf-8", "surrogatepass"), digest_size=4 * TABLES).digest()
            if state.add(digest) >= self.after:
                repeated.add(key)
        return repeated

    def save_state(self, state: LineCounts, folder: Path) -> None:
        """Writes the counters that are not zero."""
        used = np.flatnonzero(state.tables)
        np.savez(folder / "lines.npz", cells=used.astype(np.uint32), counts=state.tables.reshape(-1)[used])

    def load_state(self, folder: Path) -> LineCounts:
        """Reads what `save_state` wrote."""
        state = LineCounts()
        with np.load(folder / "lines.npz", allow_pickle=False) as saved:
            state.tables.reshape(-1)[saved["cells"]] = saved["counts"]
        return state


def keyed_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yields each line of a text with what is counted of it: nothing of Markdown's structure, and of mere marks."""
    fenced = False
    for line in text.split("\n"):
        if FENCE.match(line):
            fenced = not fenced
        key = "" if fenced or MARKDOWN.match(line) else " ".join(line.casefold().split())
        yield line, key if any(map(str.isalpha, key)) else ""


def without_lines(text: str, keys: Container[str]) -> str:
    """Returns a text without the lines of these keys."""
    return "\n".join(line for line, key in keyed_lines(text) if not key or key not in keys)
