"""The process that measures one text encoder: `python -m tfchain.optimization.measure_process TASK`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.models.text_encoder import TextEncoder

TIMED_QUERIES = 100
WARM_UP_QUERIES = 5
BULK_ROUNDS = 3


def measure(task: dict[str, Any]) -> dict[str, float]:
    """Loads the model, then encodes the queries one by one and the texts in bulk.

    Args:
        task: `model`, a folder; `engine`, `queries`, `texts` and `batch_size`.

    Returns:
        The values of `Speed`.
    """
    text_encoder = TextEncoder.from_pretrained(task["model"], engine=task["engine"])
    queries: list[str] = task["queries"]
    rounds = -(-TIMED_QUERIES // len(queries))
    for query in (queries * WARM_UP_QUERIES)[:WARM_UP_QUERIES]:
        text_encoder.encode_query(query, progress=False)
    query_ms = []
    for query in queries * rounds:
        start = time.perf_counter()
        text_encoder.encode_query(query, progress=False)
        query_ms.append((time.perf_counter() - start) * 1000)

    options = {"batch_size": task["batch_size"], "progress": False}
    text_encoder.encode_document(task["texts"][: task["batch_size"]], **options)  # warm-up
    seconds = []
    for _ in range(BULK_ROUNDS):
        start = time.perf_counter()
        text_encoder.encode_document(task["texts"], **options)
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
