"""The limits of latency and size: each shape is measured once, before any training."""

import dataclasses
import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.atomic import PARTIAL_PREFIX, write_json
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.model import Model
from tfchain.optimization.measure import Workload, make_workload, measure_files, measure_speed
from tfchain.optimization.tuning.options import Search

FEW_TEXTS = 8  # for the workload's bulk part, whose speed is not needed here


@dataclass(frozen=True)
class ShapeCost:
    """The cost of a shape, whatever its weights.

    Args:
        latency_ms: Median time of one query from text to vector, in a process that does nothing else; valid only on
            idle cores.
        size_mb: Millions of bytes of the files that a server of the model needs.
    """

    latency_ms: float
    size_mb: float


class Gauge:
    """Measures each shape once and stores the figures, so that all trials of a shape are judged by the same figures.

    Args:
        path: A folder for the figures.
        queries: Queries for the measurement, encoded one at a time.
    """

    def __init__(self, path: Path, queries: Sequence[Any]) -> None:
        self.path = path
        self.queries = queries

    def __call__(self, text_encoder: Model) -> ShapeCost:
        """Returns the cost of the text encoder's shape.

        Raises:
            TfchainError: if LiteRT has no kernel for one of the encoder's ops.
        """
        file = self.path / f"{describe_shape(text_encoder)[:16]}.json"
        if not file.is_file():
            write_first(file, dataclasses.asdict(self._measure(text_encoder)))
        return ShapeCost(**json.loads(file.read_text(encoding="utf-8")))

    def _measure(self, text_encoder: Model) -> ShapeCost:
        sample = make_workload(self.queries, self.queries)
        workload = Workload(queries=sample.queries, texts=sample.texts[:FEW_TEXTS])
        size = sum(measure_files(text_encoder).values()) / 1e6
        return ShapeCost(measure_speed(text_encoder, workload).query_median_ms, size)


def write_first(file: Path, value: Any) -> None:
    """Writes JSON in one step, unless the file exists by then: among several workers, the first one's figures count."""
    part = write_json(file.with_name(f"{PARTIAL_PREFIX}{uuid.uuid4().hex}-{file.name}"), value)
    try:
        os.link(part, file)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not file.is_file():
            os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def describe_shape(text_encoder: Model) -> str:
    """A fingerprint of what decides an answer's cost, such as the shape of an encoder, its precision and its engine."""
    return make_fingerprint(dict(text_encoder.describe_shape()), ())


def find_broken_limit(cost: ShapeCost, search: Search) -> str:
    """Says which limit a shape breaks; empty if it breaks none."""
    if search.max_latency_ms is not None and cost.latency_ms > search.max_latency_ms:
        return f"One query takes {cost.latency_ms:.3g} ms; the limit is max_latency_ms={search.max_latency_ms:g}."
    if search.max_size_mb is not None and cost.size_mb > search.max_size_mb:
        return f"The files take {cost.size_mb:.3g} MB; the limit is max_size_mb={search.max_size_mb:g}."
    return ""
