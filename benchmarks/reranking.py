"""Times reranking beside sentence-transformers' CrossEncoder, in one run.

Run: .venv/bin/python benchmarks/reranking.py [--write]
A cross-encoder of MiniLM's shape (6 layers, 384 wide) with a new head scores 50 abstracts of SciFact for a query, cut
to 128 tokens a pair. Rounds of all take turns; a round is a query with its documents, tokenizing included. Takes a
minute on two cores; writes the first part of benchmarks/RERANKING.md when `--write` is given.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from material import HERE, describe_machine
from scifact import find_minilm

from tfchain import Reranker
from tfchain.data.documents.beir import read_beir

SHARED_DATA = HERE.parents[1] / "shared" / "data"
PEERS = HERE.parent / ".venv-peers" / "bin" / "python"
DOCUMENTS, TOKENS, ROUNDS = 50, 128, 15
THEIRS = "sentence-transformers"
FILE = HERE / "RERANKING.md"
END = "<!-- the end of benchmarks/reranking.py's part -->\n"


class CrossEncoderProcess:
    """sentence-transformers' CrossEncoder in a process of its own.

    Args:
        python: The Python of the peers' environment.
        model: The cross-encoder's folder.
    """

    def __init__(self, python: Path, model: Path) -> None:
        command = [str(python), str(HERE / "workers" / "cross_encoder_worker.py"), str(model), str(os.cpu_count())]
        environment = {**os.environ, "PYTHONPATH": ""}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def __call__(self, query: str, documents: list[str]) -> tuple[float, float, np.ndarray]:
        """Returns the seconds, also of processor time, and the scores of a query's documents."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([[query, document] for document in documents]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["seconds"], answer["processor_seconds"], np.array(answer["scores"])

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


def main() -> None:
    """Reads the options, measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write benchmarks/RERANKING.md")
    parser.add_argument("--peers", type=Path, default=PEERS, help="a Python with sentence-transformers")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="queries (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Reranker(model=find_minilm(), max_length=TOKENS).save_pretrained(Path(folder) / "model")
        ways = make_ways(path, arguments.peers)
        report = write_report(*measure(ways, arguments.rounds))
        theirs = ways[THEIRS]
        if isinstance(theirs, CrossEncoderProcess):
            theirs.close()
    print(report)
    if arguments.write:
        rest = FILE.read_text(encoding="utf-8").partition(END)[2] if FILE.is_file() else ""
        FILE.write_text(report + END + rest, encoding="utf-8")


def make_ways(path: Path, peers: Path) -> dict[str, Callable[[str, list[str]], tuple[float, float, np.ndarray]]]:
    """Returns, by name, functions that score a query's documents and tell how long it took."""

    def timed(reranker: Reranker) -> Callable[[str, list[str]], tuple[float, float, np.ndarray]]:
        def score(query: str, documents: list[str]) -> tuple[float, float, np.ndarray]:
            start, before = time.perf_counter(), time.process_time()
            scores = reranker.score(query, documents)
            return time.perf_counter() - start, time.process_time() - before, scores

        return score

    quantized = Reranker.from_pretrained(path)
    quantized.text_encoder = quantized.text_encoder.with_precision("int8", engine="native")
    return {
        THEIRS: CrossEncoderProcess(peers, path),
        "tfchain, float32, TensorFlow": timed(Reranker.from_pretrained(path, engine="tensorflow")),
        "tfchain, int8": timed(quantized),
    }


def measure(ways: dict[str, Any], rounds: int) -> tuple[dict[str, list[tuple[float, float]]], dict[str, float]]:
    """Returns the seconds of each way, and the largest difference of its scores from sentence-transformers'."""
    dataset = read_beir(SHARED_DATA / "scifact")
    texts = [document.full_text for document in dataset.documents()]
    queries = list(dataset.queries.values())[: rounds + 2]
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    differences = dict.fromkeys(ways, 0.0)
    for number, query in enumerate(queries):
        documents = texts[number * DOCUMENTS : (number + 1) * DOCUMENTS]
        expected = None
        for name, score in ways.items():
            taken, processor, scores = score(query, documents)
            expected = scores if expected is None else expected
            differences[name] = max(differences[name], float(np.abs(scores - expected).max()))
            if number >= 2:  # the first rounds warm up
                seconds[name].append((taken, processor))
    return seconds, differences


def write_report(seconds: dict[str, list[tuple[float, float]]], differences: dict[str, float]) -> str:
    """Returns the table in Markdown."""
    machine = ", ".join(f"{name}: {value}" for name, value in describe_machine().items())
    medians = {
        name: [statistics.median(column) for column in zip(*values, strict=True)] for name, values in seconds.items()
    }
    whole, processor = medians[THEIRS]
    rows = [
        f"| {name} | {1000 * taken:.0f} | {whole / taken:.2f} | {1000 * used:.0f} | {processor / used:.2f} | "
        f"{differences[name]:.1e} |"
        for name, (taken, used) in medians.items()
    ]
    lines = [
        "# Reranking",
        "",
        f"Printed by `benchmarks/reranking.py --write` on {datetime.now(UTC):%Y-%m-%d}, all in one run, by turns: "
        f"{DOCUMENTS} abstracts of SciFact for a query, {TOKENS} tokens a pair, MiniLM's shape (6 layers, "
        f"384 wide) with a new head. Medians of "
        f"{len(seconds[THEIRS])} queries, tokenizing included; read the ratios. Processor time "
        "is of all threads: it says "
        "more where other work uses the machine, too.",
        f"Machine: {machine}.",
        "",
        f"| | ms for {DOCUMENTS} pairs | times as fast | ms of processor time | ratio | "
        "largest difference of a score |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
