"""A capacity plan beside a real server: open-loop Poisson traffic at planned rates, from another process.

Run: .venv/bin/python benchmarks/capacity_plan.py [--seconds 40] [--work FOLDER] [--write]

The small model that comes with tfchain, in float32 by TensorFlow, searches SciFact's documents; a larger version has
their vectors again with noise. Both are measured, one replica is planned, and a load generator asks it at shares of the
planned rate. Then the plan's p99 stands beside the measured one. The same with a server that sleeps in place of
computing (`servers/sleeping_server.py`), which other programs on the machine hardly disturb. With --write,
CAPACITY_PLAN.md is written; with --sleeping, only the second half is measured, and replaced in it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from material import HERE, describe_machine, read_documents, read_test_queries

from tfchain.core.atomic import write_file
from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.deployment.capacity.arrivals import make_arrivals
from tfchain.deployment.capacity.index_curve import join_sizes
from tfchain.deployment.capacity.load_clients import Endpoint, LoadClients
from tfchain.deployment.capacity.measure import measure_version
from tfchain.deployment.capacity.measurement import Measurement, write_measurement
from tfchain.deployment.capacity.plan import Goal, Plan, make_plan
from tfchain.deployment.capacity.served_version import serve_version
from tfchain.deployment.capacity.server_model import make_server_model
from tfchain.deployment.capacity.server_process import ServerProcess
from tfchain.deployment.deploy import SERVER

ENGINE = "tensorflow"
SHARES = (0.4, 0.7, 1.0)  # of the planned rate
CONNECTIONS = 128
RESULTS = "CAPACITY_PLAN.md"
SECOND = "## A server that sleeps"
SLEEP = (25.0, 0.4)  # the median in ms, and the spread of its logarithm
SLACK = 3.0  # the goal for p99 over that of an idle server


def main() -> None:
    """Reads the options, measures, plans, asks, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scifact", type=Path, default=HERE.parents[1] / "shared" / "data" / "scifact")
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--times", type=int, default=50, help="how many times as many documents the larger version has")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each measurement, and of each load")
    parser.add_argument("--work", type=Path, help="keeps the versions")
    parser.add_argument("--sleeping", action="store_true", help="only the server that sleeps")
    parser.add_argument("--write", action="store_true", help="write CAPACITY_PLAN.md")
    parser.add_argument("--generate", nargs=3, metavar=("URL", "RATE", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    queries = read_test_queries(options.scifact)
    if options.generate:
        url, rate, seed = options.generate
        generate_load(url, float(rate), int(seed), options.seconds, queries)
        return
    if options.sleeping:
        finish((HERE / RESULTS).read_text(encoding="utf-8").partition(SECOND)[0].rstrip() + "\n\n", options, queries)
        return
    with tempfile.TemporaryDirectory(prefix="tfchain-capacity-") as temporary:
        work = options.work or Path(temporary)
        versions = make_versions(work, options)
        load_before = os.getloadavg()[0]
        small, large = (
            measure_version(path, engine=ENGINE, texts=queries, seconds=options.seconds) for path in versions
        )
        write_measurement(versions[0], small)
        measurement = join_sizes(small, large)
        p99_ms = SLACK * make_server_model(measurement).least_p99_ms
        plan = make_plan(measurement, Goal(qps=500, p99_ms=p99_ms, price_per_core_hour=0.04))
        rows = ask_server(versions[0], plan, measurement, options)
    loads = (load_before, measurement.machine_load, os.getloadavg()[0])
    finish(describe(measurement, plan, rows, loads, options) + "\n", options, queries)


def finish(text: str, options: argparse.Namespace, queries: list[str]) -> None:
    """Adds what the sleeping server shows, prints, and writes."""
    text += "\n".join([SECOND, "", *describe_sleeping(options, queries)]) + "\n"
    print(text)
    if options.write:
        write_file(HERE / RESULTS, text)


def make_versions(work: Path, options: argparse.Namespace) -> list[Path]:
    """Exports a version, and one with many times its documents."""
    from tfchain import NeuralSearchChain
    from tfchain.deployment.export import export
    from tfchain.tasks.search.document_index import DocumentIndex
    from tfchain.tasks.search.search_graph import make_search_graph

    paths = [work / "docs" / "1", work / "larger" / "1"]
    if all(path.is_dir() for path in paths):
        return paths
    chain = NeuralSearchChain(passages="truncate", engine="tensorflow")
    chain.text_encoder = encoder = chain.text_encoder.with_precision("float32", engine="tensorflow")
    chain.add(read_documents(options.scifact)[: options.documents])
    index = chain.index
    generator = np.random.default_rng(0)
    larger = DocumentIndex(index.vectors.dim, encoder.fingerprint)
    for turn in range(options.times):
        vectors = np.asarray(index.vectors.vectors)
        noise = 0.3 * generator.standard_normal(vectors.shape) / vectors.shape[1] ** 0.5
        documents = [Document(f"{turn}-{document.id}", document.text, document.title) for document in index]
        larger.add(
            documents, [1] * len(documents), (vectors + noise).astype("float32"), fingerprint=encoder.fingerprint
        )
    for path, documents_index in zip(paths, (index, larger), strict=True):
        graph = make_search_graph(encoder, documents_index)
        description = {"documents": len(documents_index), "text_model": graph.text_model}
        export(path.parent, graph.module, graph.signatures, proofs=graph.proofs, description=description)
    return paths


def ask_server(
    version_path: Path, plan: Plan, measurement: Measurement, options: argparse.Namespace
) -> list[dict[str, float]]:
    """Starts a server, and lets another process ask it at shares of the planned rate."""
    with serve_version(version_path, engine=ENGINE, program=SERVER) as served:
        return ask_at_rates(served.url, served.process, plan, measurement, options)


def ask_at_rates(
    url: str, process: ServerProcess, plan: Plan, measurement: Measurement, options: argparse.Namespace
) -> list[dict[str, float]]:
    """Lets another process ask a server at shares of the planned rate."""
    model = make_server_model(measurement)
    rows = []
    for number, share in enumerate(SHARES):
        rate = share * plan.qps_per_replica
        load = os.getloadavg()[0]
        command = [sys.executable, __file__, "--generate", url, f"{rate}", f"{number}"]
        command += ["--seconds", f"{options.seconds}", "--scifact", f"{options.scifact}"]
        before = process.processor_seconds()
        measured = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=600).stdout)
        used = process.processor_seconds() - before
        planned = {
            "planned_p50": float(np.median(model.simulate(rate, count=60_000))),
            "planned_p99": model.find_p99(rate, count=60_000),
        }
        spent = {"processor_ms": 1000 * used / measured["answers"], "load": load}
        rows.append({**measured, "share": share, "rate": rate, **planned, **spent})
    return rows


def describe_sleeping(options: argparse.Namespace, queries: list[str]) -> list[str]:
    """Measures, plans and asks the server that sleeps."""
    command = [sys.executable, f"{HERE / 'servers' / 'sleeping_server.py'}", *map(str, SLEEP)]
    with (
        tempfile.TemporaryDirectory(prefix="tfchain-capacity-") as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
    ):
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1/models/docs"
            (Path(folder) / "saved_model.pb").write_bytes(b"")
            measurement = measure_version(folder, url=url, texts=queries, seconds=options.seconds)
            goal = Goal(qps=500, p99_ms=SLACK * make_server_model(measurement).least_p99_ms)
            plan = make_plan(measurement, goal)
            rows = ask_at_rates(url, ServerProcess(server.pid), plan, measurement, options)
        finally:
            server.kill()
    return [
        f"Two requests at a time, each {SLEEP[0]:g} ms at the median (log-normal, {SLEEP[1]:g}); "
        f"`--seconds {options.seconds:g}`, load {os.getloadavg()[0]:.1f}.",
        f"Clients got {', '.join(f'{entry.per_second:.0f} ({entry.clients})' for entry in measurement.loads)} answers "
        f"a second (with so many clients). The goal is {plan.goal.p99_ms:.0f} ms.",
        "",
        *describe_rows(rows),
    ]


def generate_load(url: str, rate: float, seed: int, seconds: float, queries: list[str]) -> None:
    """Asks at random times, and prints what came."""
    from tfchain.deployment.capacity.workload import make_workload

    times = make_arrivals(rate, max(1, round(rate * seconds)), seed=1000 + seed)
    bodies = make_workload(queries).make_bodies(1, seed=seed)
    with LoadClients(Endpoint(url), CONNECTIONS, bodies) as clients:
        answers = clients.ask_at(times.tolist())
    values: dict[str, Any] = {
        "answers": len(times),
        "p50": answers.quantile(0.5),
        "p99": answers.quantile(0.99),
        "per_second": answers.per_second,
    }
    print(json.dumps(values))


def describe(
    measurement: Measurement,
    plan: Plan,
    rows: list[dict[str, float]],
    loads: tuple[float, ...],
    options: argparse.Namespace,
) -> str:
    """The figures as a document."""
    machine = describe_machine()
    lines = [
        "# A plan beside a real server",
        "",
        f"`python benchmarks/capacity_plan.py --documents {options.documents} --times {options.times} "
        f"--seconds {options.seconds:g} --write`, {time.strftime('%Y-%m-%d')};",
        f"{machine['processor']} ({machine['features']}), {machine['cores']} cores. Load of the machine before the",
        f"measurements, at the first one's beginning and at the end: {', '.join(f'{load:.1f}' for load in loads)}.",
        "",
        "small-english in float32, the embedded server with TensorFlow, questions of SciFact.",
        *(
            ["With more programs than cores, a p99 is theirs as much as the server's, and changes as they come and go."]
            if max(loads) > measurement.cores
            else []
        ),
        "",
        "## Measured",
        "",
        "| clients | answers a second | median, ms | p99, ms | processor, ms |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {entry.clients} | {entry.per_second:.0f} | {entry.latency_ms:.1f} | {entry.p99_ms:.1f} "
            f"| {entry.processor_ms:.1f} |"
            for entry in measurement.loads
        ),
        "",
        "| texts of a request | median, ms | p99, ms | texts a second | processor, ms |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {entry.batch_size} | {entry.latency_ms:.1f} | {entry.p99_ms:.1f} | {entry.texts_per_second:.0f} "
            f"| {entry.processor_ms:.1f} |"
            for entry in measurement.batch_latencies
        ),
        "",
        "| documents | median, ms | processor, ms | most answers a second | memory, MB |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {point.documents:,} | {point.latency_ms:.1f} | {point.processor_ms:.1f} | {point.per_second:.0f} "
            f"| {'' if point.memory_mb is None else f'{point.memory_mb:.0f}'} |"
            for point in measurement.index_points
        ),
        "",
        f"Start {measurement.start_seconds:.1f} s, memory {measurement.memory_mb:.0f} MB when ready, "
        f"{measurement.peak_memory_mb:.0f} MB at most.",
        "",
        "## Planned, and asked",
        "",
        f"For 500 requests a second within {plan.goal.p99_ms:.0f} ms: {plan.replicas} replicas of {plan.cores} cores "
        f"({plan.needed} needed), {plan.memory.limit_mb:.0f} MB each;",
        f"{plan.saturates_first.name} first ({plan.saturates_first.reason}). One replica: "
        f"{plan.qps_per_replica:.1f} requests a second within the goal, {plan.max_qps_per_replica:.0f} at most.",
        "Another process asks one server at random times:",
        "",
        *describe_rows(rows),
        "",
        "## More documents",
        "",
        *describe_documents(measurement, plan),
    ]
    return "\n".join(lines) + "\n"


def describe_rows(rows: list[dict[str, float]]) -> list[str]:
    """A table of what was planned and what came."""
    return [
        "| share of the planned rate | requests a second | planned p50 | measured p50 | planned p99 | measured p99 "
        "| measured / planned p99 | processor, ms | load |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {row['share']:g} | {row['rate']:.1f} | {row['planned_p50']:.1f} | {row['p50']:.1f} "
            f"| {row['planned_p99']:.1f} | {row['p99']:.1f} | {row['p99'] / row['planned_p99']:.2f} "
            f"| {row['processor_ms']:.1f} | {row['load']:.1f} |"
            for row in rows
        ),
    ]


def describe_documents(measurement: Measurement, plan: Plan) -> list[str]:
    """What is said for more documents, the impossible included."""
    lines = []
    for documents in (100_000, 1_000_000, 20_000_000):
        goal = replace(plan.goal, documents=documents)
        try:
            found = make_plan(measurement, goal)
            lines.append(
                f"- {documents:,} documents: {found.replicas} replicas, {found.memory.limit_mb:,.0f} MB each; "
                f"{found.saturates_first.name} first."
            )
        except InputError as error:
            lines.append(f"- {documents:,} documents: {error}")
    return lines


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
