"""Texts that a request had answered, as they wait to be observed: cheap to make, and turned into values later."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfchain.core.observation import Observation

SEARCH, CLASSIFICATION, RERANKING, EMBED = "search", "classification", "reranking", "embed"
LONGEST_ID = 100  # characters, as in UBI's schemas
MOST_TEXTS = 64  # of a request: a job that embeds a corpus must not push everybody else's questions out
Rows = Sequence[Sequence[Any]] | np.ndarray  # a row for each text
QUERY_ID_HEADER, CLIENT_ID_HEADER = "x-query-id", "x-client-id"


@dataclass(frozen=True, slots=True)
class Asker:
    """What a client says of itself and of its question.

    Args:
        query_id: The id that the client gave its question; empty for one of the server's.
        client_id: How the client calls itself; empty if it does not.
        attributes: What else it says of the question.
    """

    query_id: str = ""
    client_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> "Asker":
        """Reads the headers of an HTTP request, or a gRPC call's metadata; ids that are too long are left out."""
        query_id, client_id = headers.get(QUERY_ID_HEADER, ""), headers.get(CLIENT_ID_HEADER, "")
        return cls(
            query_id if len(query_id) <= LONGEST_ID - 4 else "", client_id if len(client_id) <= LONGEST_ID else ""
        )

    def make_ids(self, number: int) -> list[str]:
        """Returns an id for each of a request's texts: the client's, with `.0`, `.1` and so on if there are several."""
        if not self.query_id:
            return [os.urandom(16).hex() for _ in range(number)]
        return [self.query_id] if number == 1 else [f"{self.query_id}.{row}" for row in range(number)]


NOBODY = Asker()


@dataclass(slots=True)  # a frozen one takes several times as long to make
class Answered:
    """The texts of a request, with their answers in the same order.

    Args:
        model: The model's name.
        version: The version that answered.
        task: `search`, `classification`, `reranking`, `embed`, or the version's own task.
        texts: The texts; bytes are UTF-8.
        seconds: How long the request took.
        query_ids: The texts' ids.
        purpose: `query` or `document`, where the model has prompts for these. Default: neither.
        ids: The documents found for each text. Default: none.
        scores: The scores for each text, best first. Default: none.
        labels: The labels of each text, best first. Default: none.
        vectors: Each text's vector. Default: none.
        asker: What the client says of itself.
        attributes: What the request asked for. Default: nothing.
        time: When the request came. Default: `seconds` ago.
    """

    model: str
    version: int
    task: str
    texts: Sequence[str | bytes]
    seconds: float
    query_ids: Sequence[str]
    purpose: str = ""
    ids: Rows = ()
    scores: Rows = ()
    labels: Rows = ()
    vectors: np.ndarray | None = None
    asker: Asker = NOBODY
    attributes: Mapping[str, Any] = field(default_factory=dict)
    time: float = 0.0

    def __post_init__(self) -> None:
        self.time = self.time or time.time() - self.seconds

    def to_observations(self, counts: Sequence[tuple[int, int | None] | None]) -> list[Observation]:
        """Returns an observation for each text.

        Args:
            counts: Each text's tokens, and those of them that are unknown; None for texts that were not counted.
        """
        attributes = {**self.asker.attributes, **self.attributes}
        if self.purpose:
            attributes["purpose"] = self.purpose
        found = [self._find_hits(row) for row in range(len(self.texts))]
        return [
            Observation(
                time=self.time,
                model=self.model,
                version=self.version,
                task=self.task,
                query_id=self.query_ids[row],
                text=_to_text(text),
                ids=found[row][0],
                scores=found[row][1],
                latency_ms=round(1000 * self.seconds, 3),
                num_tokens=None if count is None else count[0],
                num_unknown_tokens=None if count is None else count[1],
                embedding=None if self.vectors is None else self.vectors[row],
                labels=tuple(map(_to_text, self.labels[row])) if len(self.labels) else (),
                client_id=self.asker.client_id,
                attributes=attributes,
            )
            for row, (text, count) in enumerate(zip(self.texts, counts, strict=True))
        ]

    def _find_hits(self, row: int) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Returns a text's ids and scores, without the blanks that fill up a filtered search."""
        ids = tuple(map(_to_text, self.ids[row])) if len(self.ids) else ()
        scores = tuple(map(float, self.scores[row])) if len(self.scores) else ()
        if all(ids):
            return ids, scores
        kept = [place for place, one in enumerate(ids) if one]
        return tuple(ids[place] for place in kept), tuple(scores[place] for place in kept if place < len(scores))


def _to_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
