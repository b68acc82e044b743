"""Servers under load: MiniLM, text to the ten best documents of SciFact, and embeddings, with 1, 16 and 64 clients.

Run: .venv/bin/python benchmarks/serving_load.py [--documents 5183] [--seconds 4] [--turns 2] [--work FOLDER] [--write]

Beside what a user of sentence-transformers writes: FastAPI, uvicorn, FAISS (`servers/fastapi_server.py`, in the peers'
environment), and the same behind BentoML's adaptive batching (`servers/bentoml_server.py`). All servers run at the same
time and are asked by turns; the clients are connections of one thread on the same cores, which ask again at once
(`lean_clients.py`). The last lines are the chain without a server.
`--work` keeps the chain and the exported version for the next run. With --write, SERVING_LOAD.md is written.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from engines import end_process, quiet_environment
from lean_clients import Client, GrpcClient, HttpClient, ask_once, run_clients
from material import HERE, describe_machine, read_documents, read_test_queries
from peers import FASTAPI, give_ids, make_peers
from scifact import find_minilm
from services import MODEL_NAME, free_ports, peak_memory

from tfchain import NeuralSearchChain
from tfchain.chains.model_server import PROGRAM
from tfchain.core.atomic import write_file

CLIENTS = (1, 16, 64)
ENGINES = {  # name → precision of the version, engine
    "tfchain, float32 by TensorFlow": ("float32", "tensorflow"),
    "tfchain, int8 by its kernels": ("int8", "native"),
}
READY_SECONDS = 180.0

Connect = Callable[[], Client]


@dataclass
class Server:
    """A running server and what was measured of it."""

    process: "subprocess.Popen[bytes]"
    connect: dict[str, Connect]  # by what is asked
    first_seconds: float = 0.0
    peak_mb: float = 0.0


@dataclass
class Load:
    """The answers of one server to one kind of request, with a number of clients."""

    milliseconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scifact", type=Path, default=HERE.parents[1] / "shared" / "data" / "scifact")
    parser.add_argument("--peers", type=Path, default=HERE.parent / ".venv-peers/bin/python")
    parser.add_argument("--documents", type=int, default=5183)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one turn of a server")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--work", type=Path, help="keeps the chain and the version")
    parser.add_argument("--write", action="store_true", help="write SERVING_LOAD.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tfchain-load-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        documents = read_documents(options.scifact)[: options.documents]
        chain = prepare(work, documents)
        queries = read_test_queries(options.scifact)
        bare = measure_bare(chain, queries)
        servers = start_servers(work, options, queries[0])
        try:
            found = measure(servers, queries, options)
            for server in servers.values():
                server.peak_mb = peak_memory(server.process.pid)
        finally:
            for server in servers.values():
                end_process(server.process)
    text = describe(found, servers, bare, options, len(documents))
    print(text)
    if options.write:
        write_file(HERE / "SERVING_LOAD.md", text)


def prepare(work: Path, documents: list[dict[str, str]]) -> NeuralSearchChain:
    """The chain in int8, exported versions in both precisions, and the vectors and documents that the peer reads."""
    if not (work / "chain").is_dir():
        for precision in ("float32", "int8"):
            chain = NeuralSearchChain.from_pretrained(
                find_minilm(), passages="truncate"
            )  # one vector each, as the peer
            chain.text_encoder = chain.text_encoder.with_precision(precision)
            chain.add(documents)
            chain.export(work / precision)
        chain.save(work / "chain")
    chain = NeuralSearchChain.load(work / "chain")
    np.save(work / "vectors.npy", np.asarray(chain.index.vectors.vectors, "float32"))
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in documents)
    (work / "documents.jsonl").write_text("".join(lines), encoding="utf-8")
    return chain


def measure_bare(chain: NeuralSearchChain, queries: Sequence[str]) -> float:
    """Milliseconds of a search by the chain in this process."""
    times = []
    for query in [*queries[:20], *queries]:
        begin = time.perf_counter()
        chain.search(query)
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times[20:])


def start_servers(work: Path, options: argparse.Namespace, query: str) -> dict[str, Server]:
    """Starts all servers, one after the other, and waits for each one's first answer."""
    servers: dict[str, Server] = {}
    for name, peer in make_peers(options.peers, work, find_minilm()).items():
        servers[name] = start(peer.command, peer.connect, query)
    for name, (precision, engine) in ENGINES.items():
        servers[name] = start_tfchain(work / precision, engine, query)
    return servers


def start_tfchain(base_path: Path, engine: str, query: str) -> Server:
    """Starts the embedded server with an engine."""
    rest, grpc = free_ports(2)
    command = [sys.executable, "-m", PROGRAM, f"--rest_api_port={rest}", f"--port={grpc}", f"--engine={engine}"]
    command += [f"--model_name={MODEL_NAME}", f"--model_base_path={base_path}", "--host=127.0.0.1"]
    command += ["--grpc_max_threads=64", "--rest_api_num_threads=64"]
    predict = f"/v1/models/{MODEL_NAME}:predict"
    connect: dict[str, Connect] = {
        "search, REST": lambda: HttpClient(
            rest, predict, lambda text: {"instances": [{"text": text}]}, lambda answer: answer["predictions"][0]
        ),
        "search, gRPC": lambda: GrpcClient(grpc),
        "embeddings": lambda: HttpClient(
            rest,
            "/v1/embeddings",
            lambda text: {"model": MODEL_NAME, "input": text, "encoding_format": "base64"},
            give_ids,
        ),
    }
    return start(command, connect, query)


def start(command: Sequence[Any], connect: dict[str, Connect], query: str) -> Server:
    """Starts a server and waits for its first answer."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=quiet_environment()
    )
    while True:
        try:
            ask_once(next(iter(connect.values()))(), query)
            return Server(process, connect, time.perf_counter() - begin)
        except (OSError, RuntimeError) as error:
            if process.poll() is not None or time.perf_counter() - begin > READY_SECONDS:
                raise SystemExit(f"{command} does not answer: {error}") from error
            time.sleep(0.01)


def measure(
    servers: dict[str, Server], queries: Sequence[str], options: argparse.Namespace
) -> dict[tuple[str, str, int], Load]:
    """Asks by turns; every server answers every kind of request with every number of clients."""
    found: dict[tuple[str, str, int], Load] = {}
    for turn in range(options.turns):
        for clients in CLIENTS:
            for name, server in servers.items():
                for kind, connect in server.connect.items():
                    load = found.setdefault((name, kind, clients), Load())
                    offset = turn * 61
                    connected = [connect() for _ in range(clients)]
                    try:
                        times, rate = run_clients(connected, [*queries[offset:], *queries[:offset]], options.seconds)
                    except RuntimeError as error:
                        raise SystemExit(f"{name} does not answer {clients} clients ({kind}): {error}") from error
                    for client in connected:
                        client.close()
                    load.milliseconds += times
                    load.rates.append(rate)
    return found


def describe(
    found: dict[tuple[str, str, int], Load],
    servers: dict[str, Server],
    bare: float,
    options: argparse.Namespace,
    num_documents: int,
) -> str:
    """The figures as a document."""
    machine = describe_machine()
    lines = [
        "# Servers under load",
        "",
        f"`python benchmarks/serving_load.py --documents {num_documents} --seconds {options.seconds:g} "
        f"--turns {options.turns} --write`, {time.strftime('%Y-%m-%d')};",
        f"{machine['processor']} ({machine['features']}), {machine['cores']} cores, load {machine['load']}.",
        "",
        f"all-MiniLM-L6-v2, {num_documents} documents of SciFact, its test queries; times in ms. The ratio is",
        "to the peer's answers a second to the same kind of request (for gRPC, to its REST).",
        "",
        "| request | server | clients | answers a second | ratio | median | 99 % |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (name, kind, clients), load in sorted(found.items(), key=lambda item: (item[0][1], item[0][2])):
        rate = statistics.median(load.rates)
        peer = found.get((FASTAPI, "embeddings" if kind == "embeddings" else "search, REST", clients))
        ratio = f"{rate / statistics.median(peer.rates):.1f}" if peer else ""
        times = sorted(load.milliseconds)
        p99 = times[min(len(times) - 1, math.floor(0.99 * len(times)))]
        lines.append(
            f"| {kind} | {name} | {clients} | {rate:.0f} | {ratio} | {statistics.median(times):.2f} | {p99:.1f} |"
        )
    lines += ["", "| server | start to first answer, s | peak memory, MB |", "| --- | --- | --- |"]
    for name, server in servers.items():
        lines.append(f"| {name} | {server.first_seconds:.2f} | {server.peak_mb:.0f} |")
    lines += ["", f"A search by the chain in int8, without a server: {bare:.2f} ms at the median."]
    native = found[next(name for name, (_, engine) in ENGINES.items() if engine == "native"), "search, REST", 1]
    cost = statistics.median(native.milliseconds) - bare
    lines.append(f"Over REST, one client waits {cost:.2f} ms longer than that, its own work included.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
