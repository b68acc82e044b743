"""Whether LiteRT's versions gain from batches across clients: one process, threads that ask one query after the other.

all-MiniLM-L6-v2 in int8 with an index of SciFact's documents, run by LiteRT as the embedded server does, with its
batching and without it, and with one or two batches at the same time for each interpreter. They take turns.

Run: .venv/bin/python benchmarks/litert_batching.py [--documents 300] [--turns 6]
Takes about three minutes on two idle cores.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from material import describe_machine
from scifact import find_minilm
from serving_precisions import choose_documents, rotate
from serving_runtimes import PASSAGES, export_version

from tfchain.data.documents.beir import read_beir
from tfchain.deployment.server.batching.text_servable import TextBatchingServable, find_batched
from tfchain.deployment.server.servables.litert import LiteRTServable, load_version
from tfchain.deployment.server.servables.saved_model import LoadOptions
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.search import make_index

CLIENTS = (1, 2, 4, 8, 16, 64)
QUERIES = 240  # in a turn


class Engines(LiteRTServable):
    """The same version, with another number of batches at the same time."""

    def __init__(self, version: LiteRTServable, num_engines: int) -> None:
        self.__dict__.update(vars(version))
        self.chosen = num_engines

    @property
    def num_engines(self) -> int:
        """The number of batches."""
        return self.chosen


def main() -> None:
    """Reads the options, exports, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/scifact"))
    parser.add_argument("--documents", type=int, default=300, help="every judged one among them (%(default)s)")
    parser.add_argument("--turns", type=int, default=6, help="of each number of clients (%(default)s)")
    arguments = parser.parse_args()
    dataset = read_beir(arguments.data)
    documents = choose_documents(list(dataset.documents()), dataset.qrels, arguments.documents)
    queries = [text.encode() for text in dataset.queries.values()]
    with tempfile.TemporaryDirectory() as folder:
        whole = TextEncoder.from_pretrained(find_minilm())
        index = make_index(whole, documents, PASSAGES)
        path = export_version(Path(folder), whole.with_precision("int8"), index)
        version = load_version(path, LoadOptions(prefers_tflite=True))
        assert isinstance(version, LiteRTServable)
        size = version.num_engines // 2
        kinds: list[tuple[str, Any]] = [("without batches", version)]
        for count in (1, 2):
            wrapped = TextBatchingServable(Engines(version, count * size), find_batched(version))
            kinds.append((f"{count} an interpreter", wrapped))
        measure(kinds, queries, arguments.turns)
        version.close()
    print(describe_machine())


def measure(kinds: Sequence[tuple[str, Any]], queries: Sequence[bytes], turns: int) -> None:
    """Measures all kinds by turns, and prints the medians."""
    found: dict[tuple[int, str], list[tuple[float, ...]]] = {}
    for _, servable in kinds:
        ask(servable, queries, 4, 40)
    for turn in range(turns):
        for clients in CLIENTS:
            for name, servable in rotate(kinds, turn):
                found.setdefault((clients, name), []).append(ask(servable, queries, clients, QUERIES))
    print("| clients | | queries/s | processor ms a query | median ms | p95 ms |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for clients in CLIENTS:
        for name, _ in kinds:
            rate, processor, median, late = map(statistics.median, zip(*found[clients, name], strict=True))
            print(f"| {clients} | {name} | {rate:.0f} | {processor:.2f} | {median:.1f} | {late:.1f} |")


def ask(servable: Any, queries: Sequence[bytes], clients: int, count: int) -> tuple[float, float, float, float]:
    """Asks `count` queries from some threads; returns the four figures of the table."""
    signature = servable.signatures["serving_default"]
    numbers, lock, seconds = iter(range(count)), threading.Lock(), []

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            text = np.array([queries[number % len(queries)]], object)
            start = time.perf_counter()
            servable.run(signature, {"text": text}, list(signature.outputs), 30_000)
            seconds.append(time.perf_counter() - start)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    start, processor = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed, processor = time.perf_counter() - start, time.process_time() - processor
    late = sorted(seconds)[int(0.95 * count)]
    return count / elapsed, 1000 * processor / count, 1000 * statistics.median(seconds), 1000 * late


if __name__ == "__main__":
    main()
