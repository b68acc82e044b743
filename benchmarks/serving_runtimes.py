"""Two runtimes in the embedded server: the SavedModel in TensorFlow, and `model.tflite` in LiteRT between its halves.

all-MiniLM-L6-v2 with an index of SciFact's documents is exported in float32 and after `Quantize("int8")`; the second
version holds an int8 SavedModel and `model.tflite`. Three servers run at the same time, each in a process of its own:
the float32 SavedModel, the int8 SavedModel, and the int8 version with `--prefer_tflite_model`. They take turns with the
same queries: text to top 10 over gRPC, by one client, and by several that ask all the time.

Run: .venv/bin/python benchmarks/serving_runtimes.py [--documents 1000] [--turns 6] [--write]
Takes about four minutes on two idle cores.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from material import describe_machine
from scifact import find_minilm
from services import MODEL_NAME, Search, connect_grpc, peak_memory, run_clients
from serving_precisions import choose_documents, median_ratio, rotate

from tfchain.core.signatures import TFLITE_FILE
from tfchain.core.types import Document
from tfchain.data.documents.beir import read_beir
from tfchain.deployment.deploy import Deployment, deploy
from tfchain.deployment.export import export
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.ranking_metrics import ranking_metrics
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.search import PassageConfig, make_index
from tfchain.tasks.search.search_graph import make_search_graph
from tfchain.tasks.search.served_precision import to_served

REPORT = Path(__file__).parent / "SERVING_RUNTIMES.md"
TOP_K = 10
QUERIES_A_TURN = 10
CLIENTS = (8, 16)
REQUESTS_A_TURN = 240
PAUSE_SECONDS = 0.1  # idle threads of one server may spin for a moment after its turn
PASSAGES = PassageConfig(mode="truncate")
CLOCK_TICKS = 100  # of /proc/<pid>/stat, a second
COLUMNS = (
    "runtime", "MB it computes with", "peak memory MB", "one query: median ms", "p95 ms", "processor ms",
    "times TensorFlow float32", *(f"{count} clients: queries/s" for count in CLIENTS),
    "times TensorFlow float32", "processor ms a query", "nDCG@10", "same first hit as float32",
)  # fmt: skip


@dataclass
class Server:
    """One running server, and what was measured of it."""

    name: str
    file_bytes: int
    deployment: Deployment
    search: Search
    query_ms: list[float] = field(default_factory=list)
    query_processor: list[float] = field(default_factory=list)
    hits: list[list[str]] = field(default_factory=list)
    per_second: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in CLIENTS})
    processor: list[float] = field(default_factory=list)

    def connect(self) -> Search:
        """A connection of its own."""
        return connect_grpc(int(self.deployment.grpc_target.rpartition(":")[2]))


def main() -> None:
    """Reads the options, exports, measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/scifact"))
    parser.add_argument("--documents", type=int, default=1000, help="every judged one among them (%(default)s)")
    parser.add_argument("--turns", type=int, default=6, help="of several clients (%(default)s)")
    parser.add_argument("--queries", type=int, help="so many of the test queries. Default: all")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.name}, too")
    arguments = parser.parse_args()
    dataset = read_beir(arguments.data)
    documents = choose_documents(list(dataset.documents()), dataset.qrels, arguments.documents)
    queries = dict(list(dataset.queries.items())[: arguments.queries])

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = start_servers(Path(folder), documents, stack)
        measure_queries(servers, list(queries.values()))
        measure_clients(servers, list(queries.values()), arguments.turns)
        memory = {one.name: peak_memory(one.deployment.pid) for one in servers}
    quality = {one.name: rank(one, list(queries), dataset.qrels) for one in servers}
    report = write_report(servers, quality, memory, len(documents), len(queries), arguments.turns)
    print(report)
    if arguments.write:
        REPORT.write_text(report, encoding="utf-8")


def start_servers(folder: Path, documents: Sequence[Document], stack: ExitStack) -> list[Server]:
    """Exports the two versions, and starts a server for each runtime."""
    say(f"encoding {len(documents)} documents, and exporting")
    whole = TextEncoder.from_pretrained(find_minilm())
    index = make_index(whole, documents, PASSAGES)
    float32 = export_version(folder / "float32", whole, index)
    int8 = export_version(folder / "int8", whole.with_precision("int8"), index)
    say("starting the servers")
    kinds = (
        ("TensorFlow, float32", float32, False),
        ("TensorFlow, int8", int8, False),
        ("LiteRT, int8", int8, True),
    )
    servers = []
    for name, version, prefers in kinds:
        made = deploy(version.parent, model_name=MODEL_NAME, prefer_tflite_model=prefers)
        deployment = stack.enter_context(made)
        weights = version / TFLITE_FILE if prefers else version / "variables" / "variables.data-00000-of-00001"
        search = connect_grpc(int(deployment.grpc_target.rpartition(":")[2]))
        servers.append(Server(name, weights.stat().st_size, deployment, search))
    return servers


def export_version(folder: Path, text_encoder: TextEncoder, index: DocumentIndex) -> Path:
    """What `chain.export` does with a text encoder and its documents."""
    served = to_served(text_encoder, index, PASSAGES)
    graph = make_search_graph(served.text_encoder, served.index, top_k=TOP_K, litert=served.litert)
    return export(
        folder,
        graph.module,
        graph.signatures,
        proofs=graph.proofs,
        litert_proofs=graph.litert_proofs,
        halves=graph.halves,
        description=served.description,
        files=served.files,
    )


def measure_queries(servers: Sequence[Server], queries: Sequence[str]) -> None:
    """Asks every query alone, the servers taking turns."""
    say(f"{len(queries)} queries one by one")
    for one in servers:
        for text in queries[: 2 * QUERIES_A_TURN]:
            one.search(text)
    for turn, start in enumerate(range(0, len(queries), QUERIES_A_TURN)):
        part = queries[start : start + QUERIES_A_TURN]
        for one in rotate(servers, turn):
            before = processor_seconds(one.deployment.pid)
            for text in part:
                begin = time.perf_counter()
                one.hits.append(one.search(text))
                one.query_ms.append(1000 * (time.perf_counter() - begin))
            one.query_processor.append(1000 * (processor_seconds(one.deployment.pid) - before) / len(part))
            time.sleep(PAUSE_SECONDS)


def measure_clients(servers: Sequence[Server], queries: Sequence[str], turns: int) -> None:
    """Lets several clients ask at the same time, each its next query when it has the answer to the last."""
    for turn in range(turns):
        texts = [queries[(turn * 61 + number) % len(queries)] for number in range(REQUESTS_A_TURN)]
        for clients in CLIENTS:
            for one in rotate(servers, turn):
                before = processor_seconds(one.deployment.pid)
                _, seconds = run_clients(one.connect, texts, clients)
                one.per_second[clients].append(len(texts) / seconds)
                # Each client asks once more, to open its connection.
                one.processor.append(1000 * (processor_seconds(one.deployment.pid) - before) / (len(texts) + clients))
                time.sleep(PAUSE_SECONDS)
        say(f"turn {turn + 1} of {turns}: " + ", ".join(f"{s.name} {s.per_second[16][-1]:.0f}/s" for s in servers))


def processor_seconds(pid: int) -> float:
    """What the cores have spent on a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def rank(server: Server, queries: Sequence[str], qrels: Any) -> float:
    """nDCG@10 of a server's hits, which come best first."""
    run = {
        query: [(document, 1.0 / place) for place, document in enumerate(hits, 1)]
        for query, hits in zip(queries, server.hits, strict=True)
    }
    return ranking_metrics(run, {query: qrels[query] for query in queries if query in qrels}, ["ndcg@10"])["ndcg@10"]


def write_report(
    servers: Sequence[Server],
    quality: dict[str, float],
    memory: dict[str, float],
    num_documents: int,
    num_queries: int,
    turns: int,
) -> str:
    """The table as Markdown."""
    machine = describe_machine()
    whole = servers[0]
    lines = [
        "# Two runtimes in the embedded server",
        "",
        f"Printed by `benchmarks/serving_runtimes.py --write` on {date.today()}: all-MiniLM-L6-v2, {num_documents:,}",
        f"documents of SciFact, text to top {TOP_K} over gRPC. The servers ran at the same time and took turns:",
        f"{num_queries} queries by one client, then {turns} turns of {REQUESTS_A_TURN} queries by so many clients,",
        "whose own work is on the same cores. Ratios are medians over turns side by side; processor times are what the",
        "cores spent on the server's process. The ranking is of these documents alone. LiteRT's server holds the int8",
        "SavedModel as well, which tokenizes, searches, and answers what LiteRT does not take.",
        f"{machine['processor']}, {machine['cores']} cores ({machine['features']}), load {machine['load']} at the end.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"| --- |{' ---: |' * (len(COLUMNS) - 1)}",
    ]
    for one in servers:
        same = sum(mine[:1] == theirs[:1] for mine, theirs in zip(one.hits, whole.hits, strict=True))
        change = 100 * (quality[one.name] / quality[whole.name] - 1)
        most = CLIENTS[-1]
        cells = [
            one.name,
            f"{one.file_bytes / 1e6:.0f}",
            f"{memory[one.name]:.0f}",
            f"{statistics.median(one.query_ms):.2f}",
            f"{np.percentile(one.query_ms, 95):.2f}",
            f"{statistics.mean(one.query_processor):.1f}",
            f"{median_ratio(turn_medians(whole), turn_medians(one)):.2f}",
            *(f"{statistics.median(one.per_second[count]):.0f}" for count in CLIENTS),
            f"{median_ratio(one.per_second[most], whole.per_second[most]):.2f}",
            f"{statistics.mean(one.processor):.1f}",
            f"{quality[one.name]:.4f}" + (f" ({change:+.2f} %)" if one is not whole else ""),
            f"{100 * same / len(one.hits):.1f} %",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def turn_medians(server: Server) -> list[float]:
    """The median of each turn's queries, in milliseconds."""
    times = server.query_ms
    return [statistics.median(times[at : at + QUERIES_A_TURN]) for at in range(0, len(times), QUERIES_A_TURN)]


def say(line: str) -> None:
    """Tells what is going on."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    main()
