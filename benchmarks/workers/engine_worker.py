"""The loop that every engine's worker runs: a JSON line in, the work, a JSON line out.

A worker lives as long as the benchmark, so that engines can take turns on the same texts. Times are taken here, around
the engine's own call, so that the pipe between the processes costs nobody anything.
"""

import argparse
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Engine(Protocol):
    """What a worker asks of an engine. `packages` are those whose versions belong in the report."""

    packages: tuple[str, ...]

    def __init__(self, model: Path, precision: str) -> None: ...

    def encode_one(self, text: str) -> np.ndarray:
        """The vector of one text, of shape (dim,)."""
        ...

    def encode(self, texts: list[str]) -> np.ndarray:
        """The vectors of many texts, of shape (n, dim), as fast as the engine can in batches of 32."""
        ...


def run_worker(engine_class: type[Engine]) -> None:
    """Loads the engine and answers requests until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--precision", default="float32")
    arguments = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints goes to the log, not between the answers
    engine = engine_class(arguments.model, arguments.precision)
    for line in sys.stdin:
        request = json.loads(line)
        answer = answer_request(engine, **request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def answer_request(engine: Engine, do: str, **values: Any) -> dict[str, Any]:
    """Carries out one request.

    Args:
        engine: The engine.
        do: `encode_one` (`texts`, one call each), `encode_slice` (`texts`, one call for all), `peak_memory`,
            `versions`, or the name of a method of the engine.
        **values: Arguments; `save` is where the vectors go.
    """
    if do == "encode_one":
        return encode_one_by_one(engine, **values)
    if do == "encode_slice":
        return encode_slice(engine, **values)
    if do == "peak_memory":
        return {"megabytes": peak_memory()}
    if do == "versions":
        return {package: importlib.metadata.version(package) for package in engine.packages}
    return getattr(engine, do)(**values) or {}


def encode_one_by_one(engine: Engine, texts: Sequence[str], save: str | None = None) -> dict[str, Any]:
    """Milliseconds of each call, and the processor's seconds of all."""
    times, vectors = [], []
    processor = time.process_time()
    for text in texts:
        start = time.perf_counter()
        vectors.append(engine.encode_one(text))
        times.append(1000 * (time.perf_counter() - start))
    processor = time.process_time() - processor
    if save:
        np.save(save, np.stack(vectors).astype(np.float32))
    return {"milliseconds": times, "processor_seconds": processor}


def encode_slice(engine: Engine, texts: Sequence[str], save: str | None = None) -> dict[str, Any]:
    """Seconds of the one call, on the clock and on the processor."""
    start, processor = time.perf_counter(), time.process_time()
    vectors = engine.encode(list(texts))
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    if save:
        np.save(save, np.asarray(vectors, dtype=np.float32))
    return {"seconds": seconds, "processor_seconds": processor}


def peak_memory() -> float:
    """The most memory this process has held, in megabytes.

    Linux' `ru_maxrss` also counts what the parent held before `exec`; `VmHWM` does not.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM")
