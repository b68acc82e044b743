"""What shadow traffic found: a line for each request that two versions answered, without any text of it."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.rank_similarity import TOP, find_overlap, find_rank_biased_overlap

SHADOW_LOG = "shadow-{version}.jsonl"  # in a base path
MOST_LINES = 100_000


@dataclass(frozen=True)
class ShadowResult:
    """A request that the live version and the shadow both answered.

    Args:
        signature: The signature.
        live_ms: The time of the live version's run.
        shadow_ms: The time of the shadow's; None if it failed.
        overlap: The mean overlap of the ten best ids or labels, over the request's rows; None if the answer has none.
        rank_biased_overlap: The same by rank-biased overlap.
        difference: The largest difference of a number where both answers have the same shape; None if they don't.
        error: The error's code if the shadow failed; empty otherwise.
    """

    signature: str
    live_ms: float
    shadow_ms: float | None = None
    overlap: float | None = None
    rank_biased_overlap: float | None = None
    difference: float | None = None
    error: str = ""


@dataclass(frozen=True)
class ShadowSummary:
    """The results of a shadow together.

    Args:
        version: The shadow.
        num_requests: The requests that were copied.
        num_failed: Those that the shadow did not answer.
        overlap: The mean overlap of the ten best answers; None without rankings.
        rank_biased_overlap: The mean rank-biased overlap.
        live_p50_ms: The live version's median time.
        shadow_p50_ms: The shadow's.
        live_p95_ms: The live version's 95th percentile.
        shadow_p95_ms: The shadow's.
    """

    version: int
    num_requests: int
    num_failed: int
    overlap: float | None
    rank_biased_overlap: float | None
    live_p50_ms: float | None
    shadow_p50_ms: float | None
    live_p95_ms: float | None
    shadow_p95_ms: float | None


def compare_answers(
    signature: str,
    live: Mapping[str, np.ndarray],
    shadow: Mapping[str, np.ndarray],
    *,
    live_ms: float,
    shadow_ms: float,
) -> ShadowResult:
    """Compares two versions' answers to one request."""
    overlap, biased = None, None
    ranked = next((name for name in ("ids", "labels") if name in live and name in shadow), None)
    if (
        ranked is not None
        and live[ranked].ndim == shadow[ranked].ndim == 2
        and len(live[ranked]) == len(shadow[ranked])
    ):
        pairs = [
            (list(dict.fromkeys(map(str, before))), list(dict.fromkeys(map(str, after))))
            for before, after in zip(live[ranked].tolist(), shadow[ranked].tolist(), strict=True)
        ]
        if pairs:
            overlap = float(np.mean([find_overlap(before, after, top=TOP) for before, after in pairs]))
            biased = float(np.mean([find_rank_biased_overlap(before, after) for before, after in pairs]))
    differences = [
        float(np.abs(live[name] - shadow[name]).max(initial=0))
        for name in live
        if name in shadow and live[name].dtype.kind == "f" and live[name].shape == shadow[name].shape
    ]
    difference = max(differences, default=None)
    if difference is not None and not np.isfinite(difference):
        difference = None
    return ShadowResult(signature, live_ms, shadow_ms, overlap, biased, difference)


def append_result(path: Path, result: ShadowResult) -> None:
    """Appends a line in one write, so that several processes may share the file."""
    line = json.dumps(asdict(result)).encode() + b"\n"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def read_summary(base_path: Path | str, version: int) -> ShadowSummary:
    """Reads the results of a shadow of a base path.

    Raises:
        InputError: if the version was never a shadow there.
    """
    file = Path(base_path) / SHADOW_LOG.format(version=version)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(
            f"Version {version} must have been a shadow of {base_path}. Received: no {file.name} there. Start one with "
            "`tfchain promote --shadow`, and ask the server."
        ) from None
    results = [found for line in lines if (found := _parse(line)) is not None]
    answered = [result for result in results if not result["error"]]
    return ShadowSummary(
        version,
        num_requests=len(results),
        num_failed=len(results) - len(answered),
        overlap=_mean(answered, "overlap"),
        rank_biased_overlap=_mean(answered, "rank_biased_overlap"),
        live_p50_ms=_percentile(answered, "live_ms", 50),
        shadow_p50_ms=_percentile(answered, "shadow_ms", 50),
        live_p95_ms=_percentile(answered, "live_ms", 95),
        shadow_p95_ms=_percentile(answered, "shadow_ms", 95),
    )


def _parse(line: str) -> dict[str, Any] | None:
    """Returns a line's values; None for one that a killed process left unfinished."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) and "error" in values else None


def _mean(results: list[dict[str, Any]], name: str) -> float | None:
    values = [result[name] for result in results if result[name] is not None]
    return float(np.mean(values)) if values else None


def _percentile(results: list[dict[str, Any]], name: str, percent: float) -> float | None:
    values = [result[name] for result in results if result[name] is not None]
    return float(np.percentile(values, percent)) if values else None
