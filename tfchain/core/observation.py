"""What a server tells those who watch it: the questions that it answered, and what users thought of the answers.

The server makes these values and hands them to an observer. It does not know whether the observer writes a query log,
looks for drift or sets a gauge; observers do not know the server.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

SetGauge = Callable[..., None]  # (value, *label values)
OverWorkers = Literal["sum", "max", "min"]


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A text that a model answered.

    Args:
        time: When the request came, in seconds since 1970 by the wall clock, which may go back.
        model: The model's name.
        version: The version that answered.
        task: The version's task, such as `search`; `embed` for a request for vectors; empty if it is not known.
        query_id: The id under which feedback names this answer; unique.
        text: The text, as it was asked; of a pair of texts, the first one.
        ids: The documents found, best first. Default: none.
        scores: Their scores, or those of `labels`, in the same order. Default: none.
        latency_ms: How long the answer took, in milliseconds; of several texts in one request, the request's time.
        num_tokens: The text's tokens as the model sees them, special ones included; None if they were not counted.
        num_unknown_tokens: Those of them that stand for what the vocabulary lacks; None if they were not counted.
        embedding: The text's vector, float32 `(dim,)`; None if the answer did not contain it.
        labels: The labels given, best first. Default: none.
        client_id: Who asked, as the client calls itself; empty if it did not say.
        attributes: What else the request asked for, such as `{"top_k": 10}`. Default: nothing.
    """

    time: float
    model: str
    version: int
    task: str
    query_id: str
    text: str
    ids: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    latency_ms: float = 0.0
    num_tokens: int | None = None
    num_unknown_tokens: int | None = None
    embedding: np.ndarray | None = None
    labels: tuple[str, ...] = ()
    client_id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Feedback:
    """Something that a user did with an answer, such as a click on a hit.

    Args:
        time: When it happened, in seconds since 1970.
        action: What happened: `click`, `thumbs_up`, `thumbs_down`, `impression`, or a word of the application's own.
        query_id: The answer's `Observation.query_id`; empty for an event that belongs to no answer.
        object_id: The document that it is about; empty for the answer as a whole.
        position: The document's place in the answer, from 1; 0 if it is not known.
        client_id: Whose event it is; empty if the client did not say.
        session_id: The visit that it belongs to; empty if the client did not say.
        user_id: The user, as the application calls them; empty if the client did not say.
        application: The application that sent it; empty if it did not say.
        message_type: A group of actions, in the application's own words; empty without one.
        message: A text for people; empty without one.
        attributes: What else the event says, as JSON values. Default: nothing.
    """

    time: float
    action: str
    query_id: str = ""
    object_id: str = ""
    position: int = 0
    client_id: str = ""
    session_id: str = ""
    user_id: str = ""
    application: str = ""
    message_type: str = ""
    message: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Observer(Protocol):
    """Takes what a server answered. One thread calls it, after the answer has left."""

    def observe(self, observation: Observation) -> None:
        """Takes an answered text. What it raises is logged, and nobody else notices."""


class Monitor(Observer, Protocol):
    """All that a server tells: answers, feedback, and that time passes. One thread calls it."""

    def take_feedback(self, feedback: Feedback) -> None:
        """Takes an event."""

    def tick(self) -> None:
        """Is called every second or so, also while nobody asks: the moment to write, to rotate and to delete."""

    def close(self) -> None:
        """Writes what is left, and closes files."""


@dataclass(frozen=True, slots=True)
class AnsweringVersion:
    """A version that answers now.

    Args:
        path: The version's folder.
        embed: Makes vectors of queries with it, float32 `(texts, dim)`; raises a `ServerError` if it does not answer.
            It computes on the thread that calls it. None if the version makes none.
    """

    path: Path
    embed: Callable[[Sequence[str]], np.ndarray] | None = None


FindVersion = Callable[[str, int], AnsweringVersion | None]  # (model, version) → None if it answers no more


class AddGauge(Protocol):
    """Adds a gauge to a server's metrics, for those who watch: a drift, or a canary's recall."""

    def __call__(
        self, name: str, help: str, labels: tuple[str, ...] = (), *, over_workers: OverWorkers = "sum"
    ) -> SetGauge:
        """Adds a gauge, or finds the one of that name.

        Args:
            name: The name, as Prometheus reads it, such as `tfchain_drift`.
            help: One line about it.
            labels: The labels' names. Default: none.
            over_workers: What the values of several workers are together: their `sum`, for amounts; the largest
                (`max`) or the smallest (`min`), for what must not be hidden by workers that are well. Default: the sum.

        Returns:
            A function that sets it: the value, then a value for each label.
        """
