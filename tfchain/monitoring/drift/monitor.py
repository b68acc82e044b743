"""`DriftMonitor`: tells apart whether queries, documents or the model itself have changed."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np

from tfchain.core.errors import TfchainError
from tfchain.core.observation import AddGauge, Feedback, Observation
from tfchain.monitoring.drift.reference import Reference
from tfchain.monitoring.drift.stream import DriftStream, Look, StreamReport

logger = logging.getLogger(__name__)
TINY = 1e-9  # a threshold of 0 has no ratio
Encode = Callable[[Sequence[str]], np.ndarray]  # texts → vectors `(texts, dim)`


@dataclass(frozen=True)
class DriftReport:
    """What has changed.

    Args:
        causes: What has changed: `model`, or `queries` and `documents`; empty if nothing has. While the model is
            another one, vectors cannot be compared, so nothing is said of queries and documents.
        queries: The stream of queries; None if it is not watched.
        documents: The stream of documents; None if it is not watched.
        latest_time: The latest time of an observation, in seconds since 1970; 0 before the first. Clocks that go back
            do not take it back.
    """

    causes: tuple[str, ...]
    queries: StreamReport | None
    documents: StreamReport | None
    latest_time: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "causes": list(self.causes),
            "queries": None if self.queries is None else self.queries.to_dict(),
            "documents": None if self.documents is None else self.documents.to_dict(),
            "latest_time": self.latest_time,
        }


class DriftMonitor:
    """Watches queries and documents as they come, beside a reference. Threads may share it.

    Memory is bounded: it holds a window of each stream. It is a `core.observation.Monitor`, so a server can be given
    it as it is.

    Args:
        reference: What queries and documents were like; see `read_reference`.
        encode: Makes vectors of queries, for observations that come without. They are encoded `stride` at a time.
            Default: None; observations without a vector are counted in `skipped`, and left out.
        add_gauge: Adds gauges to a server's metrics. Default: there are none.
        name: What is watched, for the log, such as `Version 3 of docs`. Default: nothing is named.

    Attributes:
        skipped: How many observations were left out, for want of a vector or with one of another width.

    Example:
        monitor = DriftMonitor(read_reference("saved_models/docs/1"), encode=chain.encode_query)
        for text in texts:
            monitor.add_query(text)
        print(monitor.report().causes)
    """

    def __init__(
        self,
        reference: Reference,
        *,
        encode: Encode | None = None,
        add_gauge: AddGauge | None = None,
        name: str = "",
    ) -> None:
        config = reference.config
        self._stride = config.stride
        self._streams = {
            name: DriftStream(sample, config)
            for name, sample in (("queries", reference.queries), ("documents", reference.documents))
            if sample is not None
        }
        self._prefix = f"{name}: " if name else ""
        self._takes_answers = reference.queries is not None and "score" in reference.queries.scalars
        self._needs_vectors = reference.queries is not None and reference.queries.vectors is not None
        self._encode = encode
        self._pending: list[tuple[str, dict[str, float | None]]] = []
        self._is_other_model = False
        self._latest_time = 0.0
        self._lock = threading.Lock()
        self.skipped = 0
        self._set_drift = self._set_value = None
        if add_gauge is not None:
            add = partial(add_gauge, over_workers="max")  # each worker watches what it answers
            self._set_drift = add("tfchain_drift", "1 while a stream drifts, or the model differs", ("stream",))
            names = ("stream", "statistic")
            self._set_value = add("tfchain_drift_ratio", "A statistic by its threshold; above 1 is drift", names)
            for stream in self._streams:
                self._set_drift(0.0, stream)

    def __enter__(self) -> "DriftMonitor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_query(
        self,
        text: str,
        vector: np.ndarray | None = None,
        *,
        length: float | None = None,
        score: float | None = None,
        unknown: float | None = None,
    ) -> Look | None:
        """Takes a query in.

        Args:
            text: The query.
            vector: Its vector; None to have it encoded, with the next ones.
            length: Its length, in the unit of the reference's `length`. Default: its number of words.
            score: The best hit's score. Default: not compared.
            unknown: Its share of unknown tokens. Default: not compared.

        Returns:
            What a look found, if it was time for one.

        Raises:
            InputError: if the vector does not fit the reference.
        """
        words = float(len(text.split())) if length is None else length
        scalars = {"length": words, "score": score, "unknown": unknown}
        with self._lock:
            if vector is not None or not self._needs_vectors:
                return self._add("queries", vector, scalars, text)
            if self._encode is None:
                self.skipped += 1
                return None
            self._pending.append((text, scalars))
            return self._encode_pending() if len(self._pending) >= self._stride else None

    def add_document(self, vector: np.ndarray | None, text: str = "", *, length: float | None = None) -> Look | None:
        """Takes a document in, as it is added to the index.

        Args:
            vector: Its vector, or that of a passage.
            text: Its text, for examples. Default: none.
            length: Its length, in the unit of the reference's `length`. Default: its number of words.

        Returns:
            What a look found, if it was time for one.

        Raises:
            InputError: if the vector does not fit the reference.
        """
        words = float(len(text.split())) if length is None else length
        with self._lock:
            return self._add("documents", vector, {"length": words}, text)

    def take_canaries(self, is_same_model: bool) -> None:
        """Takes in whether the model still gives the canaries' vectors (`CanaryReport.is_same_model`).

        While it does not, queries and documents are not judged, and afterwards their windows begin anew.
        """
        with self._lock:
            if is_same_model == self._is_other_model:
                self._is_other_model = not is_same_model
                self._pending.clear()
                for stream in self._streams.values():
                    stream.restart()
            if self._set_drift is not None:
                self._set_drift(float(not is_same_model), "model")

    def report(self, *, explain: bool = True) -> DriftReport:
        """Returns what has changed. Queries that wait for their vectors are not in it.

        Args:
            explain: Whether to say which items are new; takes some hundred milliseconds. Default: True.
        """
        with self._lock:
            reports = {name: stream.report(explain=explain) for name, stream in self._streams.items()}
            drifting = tuple(name for name, stream in reports.items() if stream.is_drifting)
            causes = ("model",) if self._is_other_model else drifting
            return DriftReport(causes, reports.get("queries"), reports.get("documents"), self._latest_time)

    def wants_vector(self, observation: Observation) -> bool:
        """Returns whether `observe` would have a vector made of an answered text, as its answer holds none."""
        is_query = self._find_stream(observation) == "queries"
        return is_query and self._needs_vectors and observation.embedding is None and self._encode is not None

    def observe(self, observation: Observation) -> None:
        """Takes an answered text: a query, or a document if its vector was asked for as one."""
        with self._lock:
            self._latest_time = max(self._latest_time, observation.time)
        tokens, unknown = observation.num_tokens, observation.num_unknown_tokens
        stream = self._find_stream(observation)
        try:
            if stream == "documents":
                self.add_document(observation.embedding, observation.text)
            if stream != "queries":
                return
            self.add_query(
                observation.text,
                observation.embedding,
                score=observation.scores[0] if observation.scores else None,
                unknown=None if not tokens or unknown is None else unknown / tokens,
            )
        except TfchainError as error:
            self.skipped += 1
            if self.skipped == 1:
                logger.warning("%sA text is left out of the drift's window: %s", self._prefix, error)

    def take_feedback(self, feedback: Feedback) -> None:
        """Does nothing: feedback says nothing of drift."""

    def tick(self) -> None:
        """Does nothing: looks come after numbers of items, not after times."""

    def close(self) -> None:
        """Lets the queries go that wait for their vectors."""
        with self._lock:
            self._pending.clear()

    def _find_stream(self, observation: Observation) -> str:
        """Returns the stream that an answered text belongs to; empty if it cannot be told.

        A text of which nothing but a vector was asked for is a query or a document, as the request says. If it does
        not say, it is a query where nothing else is: beside a reference without scores.
        """
        if observation.task != "embed":
            return "queries"
        purpose = observation.attributes.get("purpose", "")
        if purpose == "document":
            return "documents"
        return "queries" if purpose == "query" or not self._takes_answers else ""

    def _encode_pending(self) -> Look | None:
        assert self._encode is not None
        waiting, self._pending = self._pending, []
        vectors = self._encode([text for text, _ in waiting])
        look = None
        for vector, (text, scalars) in zip(vectors, waiting, strict=True):
            look = self._add("queries", vector, scalars, text) or look
        return look

    def _add(self, name: str, vector: np.ndarray | None, scalars: dict[str, float | None], text: str) -> Look | None:
        stream = self._streams.get(name)
        if stream is None or self._is_other_model:
            return None
        was_drifting = stream.latest is not None and stream.latest.is_drift
        look = stream.add(vector, scalars, text)
        if look is None:
            return None
        if self._set_drift is not None and self._set_value is not None:
            self._set_drift(float(look.is_drift), name)
            thresholds = stream.thresholds
            for statistic, value in look.values.items():
                self._set_value(value / max(thresholds[statistic], TINY), name, statistic)
        if look.is_drift and not was_drifting:
            exceeded = ", ".join(look.exceeded)
            logger.warning("%sThe %s drift after %d of them: %s.", self._prefix, name, look.position, exceeded)
        return look
