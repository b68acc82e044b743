"""The peak memory of loading a large model and encoding a text, beside the size of the model in its compute type.

Run: .venv/bin/python benchmarks/model_memory.py [--folder QWEN3] [--write]
The model has the shape of Qwen3-Embedding-0.6B, random weights, bfloat16, in shards. Each row is a process of its own:
the high water of its resident memory, less what it has before the model is read (Python and, for float32, TensorFlow).
Writes benchmarks/MODEL_MEMORY.md when `--write` is given.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from material import HERE, describe_machine
from random_models import SHAPES, write_random_model

NAME = "Qwen3-0.6B"
MEGABYTE = 2**20
LIMIT = 1.2
PROGRAM = """
import json, sys
path, precision = sys.argv[1:3]
def high_water():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
if precision == "float32":
    from tfchain.runtime.allocator import start_tensorflow
    import keras
    start_tensorflow()
import tfchain.models.text_encoder_folder
from tfchain.models.text_encoder import TextEncoder
before = high_water()
options = {"precision": "int8"} if precision == "int8" else {"engine": "tensorflow"}
encoder = TextEncoder.from_pretrained(path, **options)
encoder.runner.start()
loaded = high_water()
encoder.encode("one text")
print("\\n" + json.dumps([before, loaded, high_water(), "tensorflow" in sys.modules]))
"""


def measure(path: Path, precision: str) -> list[int]:
    """Returns bytes before, after loading and after a text; and whether TensorFlow has been imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), precision], capture_output=True, text=True, check=True
    )
    values: list[int] = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[")))
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="a folder that write_random_model has written")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    sizes = {name: int(np.prod(shape)) for name, shape in SHAPES[NAME].list_tensors().items()}
    total = sum(sizes.values())
    lines = [
        "# Memory of a large model",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, by `benchmarks/model_memory.py`: a folder of the shape of {NAME}, {total:,} "
        f"weights in bfloat16, in shards. {describe_machine()['processor']}. MB are 2^20 bytes, above what the process "
        f"has before. The limit is {LIMIT} times the model.",
        "",
        "| precision | the model, MB | peak of loading, MB | with a text, MB | limit, MB | of the model | TensorFlow |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory(prefix="tfchain-memory-") as made:
        path = arguments.folder or write_random_model(Path(made) / "model", NAME)
        for precision, size in (("float32", 4 * total), ("int8", total)):
            before, loaded, encoded, has_tensorflow = measure(path, precision)
            values = [f"{value / MEGABYTE:,.0f}" for value in (size, loaded - before, encoded - before)]
            values += [f"{LIMIT * size / MEGABYTE:,.0f}", f"{(loaded - before) / size:.2f}"]
            lines.append(f"| {precision} | " + " | ".join(values) + f" | {'yes' if has_tensorflow else 'no'} |")
    page = "\n".join(lines) + "\n"
    print(page)
    if arguments.write:
        (HERE / "MODEL_MEMORY.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
