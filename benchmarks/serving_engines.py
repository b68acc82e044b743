"""The engines of the embedded server on one int8 version: from start to first answer, memory, and a query over REST.

all-MiniLM-L6-v2 in int8 with SciFact's documents is exported, or an earlier export is taken (`--base-path`). Each start
is a process of its own, from `Popen` to the first answer; then the servers of all engines run at the same time, and one
client sends them the same queries in turns.

Run: .venv/bin/python benchmarks/serving_engines.py [--base-path FOLDER] [--starts 5] [--queries 300]
Takes a minute on two idle cores after the export, which takes some minutes.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from material import describe_machine
from scifact import find_minilm

from tfchain import NeuralSearchChain
from tfchain.chains.model_server import PROGRAM
from tfchain.data.documents.beir import read_beir

ENGINES = ("native", "litert", "tensorflow")
QUERIES_A_TURN = 10
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Measured:
    """The figures of one engine."""

    ready: list[float] = field(default_factory=list)  # seconds until the ports are open
    first: list[float] = field(default_factory=list)  # seconds until the first answer
    processor: list[float] = field(default_factory=list)  # seconds used until then
    peak: list[float] = field(default_factory=list)  # MB until then
    query_ms: list[float] = field(default_factory=list)
    query_processor: float = 0.0  # seconds that the server used for them


class Server:
    """A running server, with a connection to it."""

    def __init__(self, base_path: Path, engine: str, query: str, measured: Measured) -> None:
        read, write = os.pipe()
        flags = [
            "--model_name=docs",
            f"--model_base_path={base_path}",
            "--choose_ports",
            "--port=0",
            "--host=127.0.0.1",
        ]
        flags += [f"--engine={engine}", f"--ready_fd={write}", "--max_num_load_retries=0"]
        begin = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM, *flags], pass_fds=(write,), stderr=subprocess.DEVNULL
        )
        os.close(write)
        with os.fdopen(read) as pipe:
            port = json.loads(pipe.read())["rest_port"]
        measured.ready.append(time.perf_counter() - begin)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.ask(query)
        measured.first.append(time.perf_counter() - begin)
        measured.processor.append(self.processor_seconds())
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        measured.peak.append(next(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmHWM")) / 1024)

    def ask(self, query: str) -> Any:
        self._connection.request("POST", "/v1/models/docs:predict", json.dumps({"instances": [query]}))
        return json.loads(self._connection.getresponse().read())["predictions"][0]

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def close(self) -> None:
        self._connection.close()
        self.process.terminate()
        self.process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/scifact"))
    parser.add_argument("--base-path", type=Path, help="an export of an int8 chain of these documents")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--queries", type=int, default=300)
    arguments = parser.parse_args()
    dataset = read_beir(arguments.data)
    queries = list(dataset.queries.values())[: arguments.queries]
    with tempfile.TemporaryDirectory(prefix="tfchain-engines-") as folder:
        base_path = arguments.base_path or export(Path(folder) / "docs", dataset)
        measured = {engine: Measured() for engine in ENGINES}
        for _ in range(arguments.starts - 1):
            for engine in ENGINES:
                Server(base_path, engine, queries[0], measured[engine]).close()
        servers = {engine: Server(base_path, engine, queries[0], measured[engine]) for engine in ENGINES}
        measure_queries(servers, queries, measured)
        same = {engine: sum(server.ask(query)["ids"][0] == servers["native"].ask(query)["ids"][0] for query in queries)
                for engine, server in servers.items()}  # fmt: skip
        for server in servers.values():
            server.close()
    print(f"{describe_machine()}\n")
    columns = (
        "engine",
        "first answer: median s",
        "fastest",
        "processor s",
        "peak MB",
        "query: median ms",
        "p25",
        "p95",
    )
    columns += ("processor ms", "same first hit")
    print("|".join(("", *columns, "")))
    print("|---" * len(columns) + "|")
    for engine, values in measured.items():
        times = sorted(values.query_ms)
        row = (
            *(engine, f"{statistics.median(values.first):.2f}", f"{min(values.first):.2f}"),
            *(
                f"{statistics.median(values.processor):.2f}",
                f"{max(values.peak):.0f}",
                f"{statistics.median(times):.2f}",
            ),
            *(f"{times[len(times) // 4]:.2f}", f"{times[int(0.95 * len(times))]:.2f}"),
            *(f"{1000 * values.query_processor / len(times):.2f}", f"{same[engine]} of {len(queries)}"),
        )
        print("|".join(("", *row, "")))


def export(base_path: Path, dataset: Any) -> Path:
    chain = NeuralSearchChain.from_pretrained(find_minilm())
    chain.text_encoder = chain.text_encoder.with_precision("int8")
    return chain.add(dataset.documents()).export(base_path).parent


def measure_queries(servers: dict[str, Server], queries: Sequence[str], measured: dict[str, Measured]) -> None:
    """Asks every query of every server, in turns of ten after a pause."""
    for server in servers.values():
        for query in queries[: 2 * QUERIES_A_TURN]:
            server.ask(query)
    for start in range(0, len(queries), QUERIES_A_TURN):
        for engine, server in servers.items():
            time.sleep(0.05)  # idle threads of the server before may spin for a moment
            before = server.processor_seconds()
            for query in queries[start : start + QUERIES_A_TURN]:
                begin = time.perf_counter()
                server.ask(query)
                measured[engine].query_ms.append((time.perf_counter() - begin) * 1000)
            measured[engine].query_processor += server.processor_seconds() - before


if __name__ == "__main__":
    main()
