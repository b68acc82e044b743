"""Large models, in float32 and int8, beside PyTorch's transformers on the same random folders and token ids.

Run: .venv/bin/python benchmarks/large_models.py [--only NAME] [--rounds N] [--one-core] [--write]
A child process for each of tfchain in float32, tfchain in int8 and PyTorch holds the model and waits; the parent asks
one after the other, by turns, so that whatever else the machine does meets all of them. A batch is 8 texts of 128
tokens, a query one text of 32. `--one-core` gives each child one core and takes its processor time, not the clock's:
on a busy machine, threads that wait for each other wait long.
Needs `.venv-torch` (make test-torch), or `--torch PYTHON`. Writes
benchmarks/LARGE_MODELS.md when `--write` is given.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from material import HERE, describe_machine
from random_models import SHAPES, write_random_model

TORCH = HERE.parent / ".venv-torch" / "bin" / "python"
ROUNDS = 5
WORKLOADS = {"8 texts of 128 tokens": (8, 128), "one query of 32 tokens": (1, 32)}
KINDS = ("PyTorch float32", "tfchain float32", "tfchain int8")

TFCHAIN = """
import json, sys, time
import numpy as np
from tfchain.models.text_encoder import TextEncoder
path, kind = sys.argv[1:3]
options = {"precision": "int8"} if kind == "int8" else {}
encoder = TextEncoder.from_pretrained(path, **options)
def run(ids):
    return encoder.runner(ids)
"""
PYTORCH = """
import json, sys, time
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
path, kind = sys.argv[1:3]
model = SentenceTransformer(path, device="cpu", model_kwargs={"dtype": torch.float32})
@torch.inference_mode()
def run(ids):
    ids = torch.tensor(ids)
    return model({"input_ids": ids, "attention_mask": torch.ones_like(ids)})["sentence_embedding"].numpy()
"""
LOOP = """
now = time.process_time if sys.argv[3] == "one" else time.perf_counter
for line in sys.stdin:
    ids, warm = json.loads(line)
    for _ in range(warm):
        run(ids)
    start = now()
    vectors = run(ids)
    seconds = now() - start
    print("\\n" + json.dumps([seconds, vectors.tolist()]), flush=True)
"""


class Child:
    """A process that encodes token ids on request.

    Args:
        python: The interpreter.
        program: What it runs, with `path` and `kind` as arguments.
        path: The model's folder.
        kind: `float32` or `int8`.
        one_core: Whether it has one core, and measures its processor time.
    """

    def __init__(self, python: Path, program: str, path: Path, kind: str, one_core: bool) -> None:
        cores = sorted(os.sched_getaffinity(0))[: 1 if one_core else None]
        own = {"PYTHONPATH": str(HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3", "XDG_CACHE_HOME": str(path.parent)}
        environment = os.environ | own
        self._process = subprocess.Popen(
            [str(python), "-c", program + LOOP, str(path), kind, "one" if one_core else "all"],
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def run(self, ids: Sequence[Sequence[int]], *, warm: int = 0) -> tuple[float, list[list[float]]]:
        """Returns the seconds of a call and its vectors."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([ids, warm]) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("["):
                seconds, vectors = json.loads(line)
                return seconds, vectors
        raise RuntimeError("the child process has ended")

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def measure(name: str, torch: Path, rounds: int, outliers: bool, one_core: bool) -> list[dict[str, Any]]:
    """Returns a row for each workload: seconds of each kind, ratios to PyTorch, and cosines to PyTorch's vectors."""
    import numpy as np

    rows = []
    with tempfile.TemporaryDirectory(prefix="tfchain-large-") as folder:
        path = write_random_model(Path(folder) / "model", name, dtype="float32", outliers=outliers)
        children = {
            KINDS[0]: Child(torch, PYTORCH, path, "float32", one_core),
            KINDS[1]: Child(Path(sys.executable), TFCHAIN, path, "float32", one_core),
            KINDS[2]: Child(Path(sys.executable), TFCHAIN, path, "int8", one_core),
        }
        random = np.random.default_rng(0)
        for workload, shape in WORKLOADS.items():
            ids = random.integers(5, SHAPES[name].list_tensors()[next(iter(SHAPES[name].outside))][0] - 5, shape)
            times: dict[str, list[float]] = {kind: [] for kind in KINDS}
            vectors = {}
            for number in range(rounds + 1):
                for kind, child in children.items():
                    seconds, made = child.run(ids.tolist(), warm=0 if number else 2)
                    times[kind] += [seconds] if number else []
                    vectors[kind] = np.array(made) / np.linalg.norm(made, axis=1, keepdims=True)
            row: dict[str, Any] = {"model": name, "workload": workload}
            for kind in KINDS:
                row[kind] = statistics.median(times[kind])
                pairs = zip(times[KINDS[0]], times[kind], strict=True)
                row[f"{kind}, ratio"] = statistics.median(base / own for base, own in pairs)
                row[f"{kind}, cosine"] = float((vectors[KINDS[0]] * vectors[kind]).sum(axis=1).min())
            rows.append(row)
            print(json.dumps(row), flush=True)
        for child in children.values():
            child.close()
    return rows


def describe(rows: Sequence[dict[str, Any]], one_core: bool) -> str:
    """Returns the page."""
    machine = describe_machine()
    time = "of processor time, on one core" if one_core else "on all cores"
    columns = ["model", "workload", *KINDS, "float32 to PyTorch", "int8 to PyTorch", "cosine, float32", "cosine, int8"]
    lines = [
        "# Large models beside PyTorch",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, by `benchmarks/large_models.py`. {machine['processor']}, "
        f"{machine['cores']} cores, {machine['features']}; load of the machine at the end {machine['load']}. Random "
        f"weights; the same token ids; median seconds {time}, and the median ratio within a round of how many texts a "
        "second are encoded. The cosine is the least to PyTorch's vectors.",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + " --- |" * len(columns),
    ]
    for row in rows:
        values = [f"{row[kind]:.3f}" for kind in KINDS]
        values += [f"{row[f'{kind}, ratio']:.2f}" for kind in KINDS[1:]]
        values += [f"{row[f'{kind}, cosine']:.5f}" for kind in KINDS[1:]]
        lines.append(f"| {row['model']} | {row['workload']} | " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SHAPES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--torch", type=Path, default=TORCH)
    parser.add_argument("--outliers", action="store_true", help="norms with a few large weights")
    parser.add_argument("--one-core", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for name in [arguments.only] if arguments.only else list(SHAPES):
        rows += measure(name, arguments.torch, arguments.rounds, arguments.outliers, arguments.one_core)
    page = describe(rows, arguments.one_core)
    print(page)
    if arguments.write:
        (HERE / "LARGE_MODELS.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
