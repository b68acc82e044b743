"""Compares what a model answers to canary queries with what it should: recall, latency, vectors, scores."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, TfchainError
from tfchain.monitoring.canaries.ask import Ask, CanaryAnswer
from tfchain.monitoring.canaries.canary import CanaryQuery

MOST_NAMED = 3  # canaries that a finding names

MEANINGS = {
    "model": "The model gives other vectors than before: its tokenizer, its weights or its default prompt has changed",
    "prompt": "The prompt for queries has changed: with the default prompt the model gives the same vectors as before",
    "index": "The model is the same, but the documents' scores are not: their vectors or texts are of another model or "
    "time",
    "answers": "The scores are other ones than before",
    "recall": "Expected answers are missing",
    "latency": "The answers are slow",
    "unanswered": "Canary queries were not answered",
}


@dataclass(frozen=True)
class CanaryLimits:
    """What canary queries may differ by.

    Args:
        recall: The least mean recall. Default: 1, all that is expected is found.
        latency_ms: The most that the median answer may take, in milliseconds. Default: no limit.
        vector_distance: The most that a vector may differ by, as 1 minus the cosine. Engines of different precision
            are about 0.005 apart (int8 and float32). Default: 0.001.
        score: The most that a score may differ by, relative to the score if that is above 1. Default: 0.01.

    Raises:
        InputError: if a limit is out of range.
    """

    recall: float = 1.0
    latency_ms: float | None = None
    vector_distance: float = 1e-3
    score: float = 1e-2

    def __post_init__(self) -> None:
        if not 0 <= self.recall <= 1:
            raise InputError(f"`recall` must be in [0, 1]. Received: recall={self.recall!r}.", argument="recall")
        for name in ("latency_ms", "vector_distance", "score"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"`{name}` must be above 0. Received: {name}={value!r}.", argument=name)


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Args:
        kind: `model`, `prompt`, `index`, `answers`, `recall`, `latency` or `unanswered`.
        message: What that means, and which canaries show it.
        canaries: How many of them.
    """

    kind: str
    message: str
    canaries: int


@dataclass(frozen=True)
class CanaryReport:
    """How a model answers its canaries.

    Args:
        canaries: How many there are.
        recall: The mean part of the expected ids that was found; None if none are expected, or nothing was answered.
        latency_ms: The median time of an answer; None without one.
        p99_latency_ms: The 99th percentile; None without an answer.
        vector_distance: The largest distance of a vector to the expected one, as 1 minus the cosine; None if no vectors
            are compared.
        findings: What is wrong; empty if nothing is.
    """

    canaries: int
    recall: float | None
    latency_ms: float | None
    p99_latency_ms: float | None
    vector_distance: float | None
    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def is_same_model(self) -> bool:
        """Whether the vectors are the expected ones, as far as they are compared."""
        return not any(finding.kind in ("model", "prompt") for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return {**asdict(self), "is_good": self.is_good}


def check_canaries(ask: Ask, canaries: Sequence[CanaryQuery], limits: CanaryLimits | None = None) -> CanaryReport:
    """Puts canary queries to a model, one after the other, and compares the answers with the expected ones.

    A canary that is not answered is a finding, not an error; the others are still asked.

    Args:
        ask: Asks the model; see `make_ask`.
        canaries: The canaries, at least one.
        limits: What may differ. Default: `CanaryLimits()`.

    Raises:
        InputError: if there are no canaries.
    """
    if not canaries:
        raise InputError("`canaries` must have at least one canary query. Received: none.", argument="canaries")
    limits = limits or CanaryLimits()
    recalls, latencies, distances = [], [], []
    wrong: dict[str, list[str]] = {}
    for canary in canaries:
        try:
            answer = ask(canary)
        except TfchainError as error:
            wrong.setdefault("unanswered", []).append(f"{canary.text!r:.60} ({error})")
            continue
        if answer.latency_ms is not None:
            latencies.append(answer.latency_ms)
        if canary.ids:
            recalls.append(len(set(canary.ids) & set(answer.ids)) / len(canary.ids))
            if recalls[-1] < 1:
                wrong.setdefault("recall", []).append(f"{canary.text!r:.60}")
        distance = _find_distance(canary.vector, answer.vector)
        if distance is not None:
            distances.append(distance)
        kind = _judge(canary, answer, distance, limits)
        if kind is not None:
            wrong.setdefault(kind, []).append(f"{canary.text!r:.60}")
    recall = float(np.mean(recalls)) if recalls else None
    latency = float(np.median(latencies)) if latencies else None
    if recall is None or recall >= limits.recall:
        wrong.pop("recall", None)
    if latency is not None and limits.latency_ms is not None and latency > limits.latency_ms:
        wrong["latency"] = [f"{latency:.1f} ms, at most {limits.latency_ms:g} ms are allowed"]
    return CanaryReport(
        canaries=len(canaries),
        recall=recall,
        latency_ms=latency,
        p99_latency_ms=float(np.percentile(latencies, 99)) if latencies else None,
        vector_distance=max(distances) if distances else None,
        findings=tuple(_describe(kind, wrong[kind]) for kind in MEANINGS if kind in wrong),
    )


def _judge(canary: CanaryQuery, answer: CanaryAnswer, distance: float | None, limits: CanaryLimits) -> str | None:
    """Returns the kind of what is wrong with an answer's vectors or scores; None if nothing is."""
    if distance is not None and distance > limits.vector_distance:
        plain = _find_distance(canary.plain_vector, answer.plain_vector)
        return "prompt" if plain is not None and plain <= limits.vector_distance else "model"
    found = dict(zip(answer.ids, answer.scores, strict=True)) if answer.scores else {}
    pairs = [(score, found[id]) for id, score in zip(canary.ids, canary.scores, strict=False) if id in found]
    if any(not abs(score - other) <= limits.score * max(1.0, abs(score)) for score, other in pairs):
        return "answers" if distance is None or canary.candidates else "index"
    return None


def _find_distance(expected: np.ndarray | None, vector: np.ndarray | None) -> float | None:
    """Returns 1 minus the cosine; 2 if the widths differ or numbers are not finite; None if there is nothing to say."""
    if expected is None or vector is None:
        return None
    if expected.shape != vector.shape or not np.isfinite(vector).all():
        return 2.0
    one, other = expected.astype(np.float64), vector.astype(np.float64)
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return max(1.0 - float(one @ other) / norms, 0.0) if norms else float(np.abs(one - other).max() > 0)


def _describe(kind: str, texts: Sequence[str]) -> Finding:
    named = ", ".join(texts[:MOST_NAMED])
    others = f", and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return Finding(kind, f"{MEANINGS[kind]}: {named}{others}.", len(texts))
