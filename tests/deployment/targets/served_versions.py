"""Versions as targets see them, made of values: no file is written or read."""

from pathlib import Path
from typing import Any

from tests.deployment.capacity.measurements import make_measurement
from tfchain.deployment.targets.served_version import ServedVersion

TASKS = {
    "search": ("RegexSplitWithOffsets", "MatMul", "TopKV2"),
    "classification": ("RegexSplitWithOffsets", "MatMul", "Softmax"),
    "reranking": ("FastWordpieceTokenizeWithOffsets", "MatMul", "Sigmoid"),
}


def make_served_version(task: str = "search", **changes: Any) -> ServedVersion:
    """The third version of the model `docs`, 40 MB large, with a measurement: two cores, 100 requests a second each."""
    ops = TASKS.get(task, ("MatMul",))
    values: dict[str, Any] = {
        "path": Path("saved_models/docs/3"),
        "number": 3,
        "model_name": "docs",
        "task": task,
        "signatures": {"serving_default": ops, "embed_ids": ("MatMul",)},
        "ops": tuple(sorted(ops)),
        "compiled": (),
        "oldest_server": "2.8",
        "engines": ("tensorflow",),
        "native_signatures": (),
        "size_bytes": 40_000_000,
        "fingerprint": "abc123",
        "documents": 1000 if task == "search" else None,
        "description": {},
        "measurement": make_measurement(engine="tensorflow"),
    }
    return ServedVersion(**{**values, **changes})
