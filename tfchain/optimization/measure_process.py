"""The process that measures one model: `python -m tfchain.optimization.measure_process TASK`."""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.model import Model

TIMED_QUERIES = 100
WARM_UP_QUERIES = 5
BULK_ROUNDS = 3


def measure(task: dict[str, Any]) -> dict[str, float]:
    """Loads the model, then answers the queries one by one and the texts in bulk.

    Args:
        task: `kind`, the model's class as `module:name`; `model`, a folder; `engine`, `queries`, `texts` and
            `batch_size`.

    Returns:
        The values of `Speed`.
    """
    module, _, name = task["kind"].partition(":")
    model: Model = getattr(importlib.import_module(module), name).from_pretrained(task["model"], engine=task["engine"])
    queries: list[Any] = task["queries"]
    rounds = -(-TIMED_QUERIES // len(queries))
    for query in (queries * WARM_UP_QUERIES)[:WARM_UP_QUERIES]:
        model.run_one(query)
    query_ms = []
    for query in queries * rounds:
        start = time.perf_counter()
        model.run_one(query)
        query_ms.append((time.perf_counter() - start) * 1000)

    batch_size = task["batch_size"]
    model.run(task["texts"][:batch_size], batch_size=batch_size)  # warm-up
    seconds = []
    for _ in range(BULK_ROUNDS):
        start = time.perf_counter()
        model.run(task["texts"], batch_size=batch_size)
        seconds.append(time.perf_counter() - start)
    return {
        "peak_memory_mb": read_peak_memory_mb(),
        "query_median_ms": float(np.median(query_ms)),
        "query_p95_ms": float(np.percentile(query_ms, 95)),
        "texts_per_second": len(task["texts"]) / float(np.median(seconds)),
    }


def read_peak_memory_mb() -> float:
    """The most memory that this process has held, in millions of bytes.

    Not `getrusage`: its figure is inherited from the parent process.
    """
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
