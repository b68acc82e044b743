"""Filters of synthetic queries: the round trip, and queries that repeat each other."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.lexical.bm25 import Bm25
from tfchain.data.lexical.terms import find_terms
from tfchain.data.steps.record import Record, record_id
from tfchain.data.steps.step import Step
from tfchain.data.steps.step_log import StepLog

Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class FilterRoundTrip(Step):
    """Keeps rows whose query finds its own passage among the first k (round-trip consistency, Alberti et al. 2019).

    It compares the query with the passages of all rows that it sees, so it holds all rows until the end. The ranking
    is BM25's, or that of a model whose `encode` functions are handed in.

    Args:
        top_k: How far down the passage may be. Default: 10.
        encode: Returns the vectors of texts `(n, dim)`, such as `chain.encode_document`. Default: BM25 ranks.
        encode_query: The same for queries. Default: `encode`.
        passages: Further passages to rank among, such as the whole corpus. Default: those of the rows.
    """

    name: ClassVar[str] = "filter_round_trip"
    per_record: ClassVar[bool] = False

    top_k: int = 10
    encode: Encode | None = field(default=None, repr=False, compare=False)
    encode_query: Encode | None = field(default=None, repr=False, compare=False)
    passages: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        check_whole_number("top_k", self.top_k)

    def settings(self) -> dict[str, Any]:
        """Returns the settings as plain values."""
        return {"top_k": self.top_k}

    def new_state(self) -> list[Record]:
        """Returns a list for the rows held back."""
        return []

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Holds rows back."""
        for record in records:
            check_row(self.name, record)
        state.extend(records)
        return []

    def finish(self, log: StepLog, state: Any) -> list[Record]:
        """Returns the rows that find their passage."""
        rows: list[Mapping[str, Any]] = state
        if not rows:
            return []
        numbers: dict[str, int] = {}
        for text in (*(row["positive"] for row in rows), *self.passages):
            numbers.setdefault(text, len(numbers))
        ranks = self.rank(list(numbers), [row["query"] for row in rows], [numbers[row["positive"]] for row in rows])
        kept: list[Record] = []
        for row, rank in zip(rows, ranks, strict=True):
            if rank < self.top_k:
                kept.append(row)
            else:
                log.drop(row, f"passage not among the first {self.top_k}", detail=f"rank {rank + 1}")
        return kept

    def rank(self, passages: list[str], queries: list[str], own: list[int]) -> list[int]:
        """Returns how many passages score higher than each query's own."""
        if self.encode is None:
            return [rank - 1 for rank in Bm25(passages).rank(queries, own)]
        vectors = to_unit(self.encode(passages), len(passages))
        asked = to_unit((self.encode_query or self.encode)(queries), len(queries))
        ranks: list[int] = []
        for start in range(0, len(queries), 1024):
            scores = asked[start : start + 1024] @ vectors.T  # (queries, passages)
            mine = scores[np.arange(len(scores)), own[start : start + 1024]]
            ranks += (scores > mine[:, None]).sum(axis=1).tolist()
        return ranks

    def save_state(self, state: Any, folder: Path) -> None:
        """Writes the rows held back."""
        save_rows(state, folder)

    def load_state(self, folder: Path) -> list[Record]:
        """Reads the rows held back."""
        return load_rows(folder)


@dataclass(frozen=True)
class DropRepeatedQueries(Step):
    """Leaves out rows whose query nearly repeats an earlier one: generators and templates write the same again.

    Two queries repeat each other if their sets of terms have a Jaccard similarity of at least `least`, whatever the
    passage: a query of two passages tells the model nothing, or teaches it that the other is wrong.

    Args:
        least: The least similarity, above 0. Default: 0.8.
    """

    name: ClassVar[str] = "drop_repeated_queries"
    per_record: ClassVar[bool] = False

    least: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.least <= 1:
            raise InputError(f"`least` must be in (0, 1]. Received: least={self.least!r}.")

    def new_state(self) -> "SeenQueries":
        """Returns no queries."""
        return SeenQueries(self.least)

    def process(self, records: Sequence[Record], log: StepLog, state: Any) -> list[Record]:
        """Keeps rows with a new query."""
        seen: SeenQueries = state
        kept: list[Record] = []
        for record in records:
            query = check_row(self.name, record)["query"]
            first = seen.find(query)
            if first is not None:
                log.drop(record, "repeats a query", detail=f"of {first}")
            else:
                seen.add(query, record_id(record))
                kept.append(record)
        return kept

    def save_state(self, state: Any, folder: Path) -> None:
        """Writes the queries kept so far."""
        save_rows([{"query": " ".join(sorted(terms)), "id": id} for terms, id in state.queries], folder)

    def load_state(self, folder: Path) -> "SeenQueries":
        """Reads the queries kept so far."""
        seen = SeenQueries(self.least)
        for row in load_rows(folder):
            seen.add_terms(cast(Mapping[str, Any], row)["query"].split(), record_id(row))
        return seen


class SeenQueries:
    """Queries by their terms, to find near-repetitions exactly, by prefix filtering (Bayardo et al. 2007).

    Args:
        least: The least Jaccard similarity.
    """

    def __init__(self, least: float) -> None:
        self.least = least
        self.queries: list[tuple[frozenset[str], str]] = []
        self.of_term: dict[str, list[int]] = {}

    def add(self, query: str, id: str) -> None:
        """Adds a query."""
        self.add_terms(find_terms(query), id)

    def add_terms(self, found: Sequence[str], id: str) -> None:
        """Adds a query by its terms."""
        terms = sorted(set(found), key=rare_first)
        for term in terms[: self.prefix(len(terms))]:
            self.of_term.setdefault(term, []).append(len(self.queries))
        self.queries.append((frozenset(terms), id))

    def find(self, query: str) -> str | None:
        """Returns the id of the first query that this one nearly repeats; None if there is none."""
        terms = sorted(set(find_terms(query)), key=rare_first)
        found = {number for term in terms[: self.prefix(len(terms))] for number in self.of_term.get(term, ())}
        mine = set(terms)
        for number in sorted(found):
            others, id = self.queries[number]
            if len(mine & others) >= self.least * len(mine | others):
                return id
        return None

    def prefix(self, size: int) -> int:
        """Returns how many terms two similar queries must share one of, in one order of all terms."""
        return size - math.ceil(self.least * size - 1e-9) + 1


def rare_first(term: str) -> tuple[int, str]:
    """Orders terms, long and so mostly rare ones first."""
    return -len(term), term


def check_row(step: str, record: Record) -> Mapping[str, Any]:
    """Returns a record that is a row of a query and a passage.

    Raises:
        InputError: if it is not.
    """
    if isinstance(record, Mapping) and isinstance(record.get("query"), str) and isinstance(record.get("positive"), str):
        return record
    received = "a document" if not isinstance(record, Mapping) else f"the columns {', '.join(record)[:80]}"
    raise InputError(f"{step} needs rows with `query` and `positive`. Received: {received}.")


def to_unit(vectors: Any, count: int) -> np.ndarray:
    """Returns vectors of length one.

    Raises:
        InputError: if there is not a vector for each text.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != count:
        raise InputError(f"`encode` must return a vector for each text. Received: {vectors.shape} for {count} texts.")
    return cast(np.ndarray, vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def save_rows(rows: Sequence[Record], folder: Path) -> None:
    """Writes rows into a state's folder."""
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def load_rows(folder: Path) -> list[Record]:
    """Reads rows from a state's folder."""
    with (folder / "rows.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
