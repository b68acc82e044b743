"""Batching across clients in the embedded server: answers a second with 1, 4 and 16 clients, with and without it.

all-MiniLM-L6-v2 with an index of SciFact's documents is exported in float32. Three servers run at the same time, each
in a process of its own: without batching, with tfchain's own, and with TensorFlow Serving's (`--enable_batching` with
its defaults). They take turns with the same queries: text to top 10 over gRPC. A client asks its next query when it has
the answer to the last.

Run: .venv/bin/python benchmarks/batching.py [--documents 500] [--turns 5] [--requests 240] [--write]
Takes about two minutes on two idle cores.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from material import describe_machine
from measures import PAUSE_SECONDS
from scifact import find_minilm
from services import MODEL_NAME, Search, connect_grpc, run_clients, running
from serving_precisions import choose_documents, median_ratio, rotate
from serving_runtimes import PASSAGES, export_version, processor_seconds, say

from tfchain.data.documents.beir import read_beir
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.search import make_index

REPORT = Path(__file__).parent / "BATCHING.md"
CLIENTS = (1, 4, 16)
OFF, OWN, SERVING = "--text_batching=off", "--text_batching=auto", "--enable_batching"
FLAGS = (OFF, OWN, SERVING)
COLUMNS = (
    "flag", *(f"{count} client{'s' * (count > 1)}: queries/s" for count in CLIENTS),
    *(f"{count}: times without" for count in CLIENTS), *(f"{count}: processor ms a query" for count in CLIENTS),
    "1: median ms", "16: median ms", "16: p95 ms",
)  # fmt: skip


@dataclass
class Server:
    """One running server, and what was measured of it."""

    flag: str
    port: int
    pid: int
    per_second: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in CLIENTS})
    milliseconds: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in CLIENTS})
    processor: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in CLIENTS})

    def connect(self) -> Search:
        """A connection of its own."""
        return connect_grpc(self.port)


def main() -> None:
    """Reads the options, exports, measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/scifact"))
    parser.add_argument("--documents", type=int, default=500, help="every judged one among them (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="of each number of clients (%(default)s)")
    parser.add_argument("--requests", type=int, default=240, help="in a turn (%(default)s)")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.name}, too")
    arguments = parser.parse_args()
    dataset = read_beir(arguments.data)
    documents = choose_documents(list(dataset.documents()), dataset.qrels, arguments.documents)
    queries = list(dataset.queries.values())

    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        say(f"encoding {len(documents)} documents, and exporting")
        whole = TextEncoder.from_pretrained(find_minilm())
        export_version(Path(name), whole, make_index(whole, documents, PASSAGES))
        servers = start_servers(Path(name), queries, stack)
        measure(servers, queries, arguments.turns, arguments.requests)
    report = write_report(servers, len(documents), arguments.turns, arguments.requests)
    print(report)
    if arguments.write:
        REPORT.write_text(report, encoding="utf-8")


def start_servers(folder: Path, queries: Sequence[str], stack: ExitStack) -> list[Server]:
    """Starts a server with each flag; threads for all clients, as by default there are four a processor."""
    say("starting the servers")
    servers = []
    for flag in FLAGS:
        command = [sys.executable, "-m", "tfchain.deployment.server.main", flag, "--grpc_max_threads=16"]
        command += [f"--model_name={MODEL_NAME}", f"--model_base_path={folder}"]
        work: Any = SimpleNamespace(work=folder, queries=queries)
        process, ports, _ = stack.enter_context(
            running("tfchain", lambda ports, command=command: [*command, *to_flags(ports)], work)  # type: ignore[misc]
        )
        servers.append(Server(flag, ports[1], process.pid))
    return servers


def to_flags(ports: Sequence[int]) -> list[str]:
    """The flags for the ports of REST and gRPC."""
    return [f"--rest_api_port={ports[0]}", f"--port={ports[1]}", "--host=127.0.0.1"]


def measure(servers: Sequence[Server], queries: Sequence[str], turns: int, num_requests: int) -> None:
    """Lets the servers take turns with each number of clients; the first turn warms up, and is not counted."""
    for turn in range(turns + 1):
        texts = [queries[(turn * 61 + number) % len(queries)] for number in range(num_requests)]
        for clients in CLIENTS:
            asked = texts if clients > 1 else texts[: num_requests // 4]
            for server in rotate(servers, turn):
                before = processor_seconds(server.pid)
                milliseconds, seconds = run_clients(server.connect, asked, clients)
                if turn:
                    server.per_second[clients].append(len(asked) / seconds)
                    server.milliseconds[clients].extend(milliseconds)
                    # Each client asks once more, to open its connection.
                    spent = processor_seconds(server.pid) - before
                    server.processor[clients].append(1000 * spent / (len(asked) + clients))
                time.sleep(PAUSE_SECONDS)
        say(f"turn {turn} of {turns}")


def write_report(servers: Sequence[Server], num_documents: int, turns: int, num_requests: int) -> str:
    """The table as Markdown."""
    machine = describe_machine()
    lines = [
        "# Batching across clients in the embedded server",
        "",
        f"Printed by `benchmarks/batching.py --write` on {date.today()}: all-MiniLM-L6-v2, {num_documents:,} documents",
        f"of SciFact, text to top 10 over gRPC. The servers ran at the same time and took turns: {turns} turns of",
        f"{num_requests} queries by each number of clients (a quarter as many by one client), whose own work is on",
        "the same cores. Ratios are medians over turns side by side, beside the server without batching;",
        "processor times are what the cores spent on the server's process.",
        f"{machine['processor']}, {machine['cores']} cores ({machine['features']}), load {machine['load']} at the end.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"| --- |{' ---: |' * (len(COLUMNS) - 1)}",
    ]
    for server in servers:
        cells = [
            f"`{server.flag}`",
            *(f"{statistics.median(server.per_second[count]):.0f}" for count in CLIENTS),
            *(f"{median_ratio(server.per_second[count], servers[0].per_second[count]):.2f}" for count in CLIENTS),
            *(f"{statistics.mean(server.processor[count]):.1f}" for count in CLIENTS),
            f"{statistics.median(server.milliseconds[1]):.1f}",
            f"{statistics.median(server.milliseconds[16]):.1f}",
            f"{np.percentile(server.milliseconds[16], 95):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
