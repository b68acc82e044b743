"""The measures on engines: one query, bulk, agreement of the vectors, memory, start-up, imports."""

import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from engines import ENGINES, REFERENCE, TFCHAIN, Worker, quiet_environment, time_first_answer
from material import Material

QUERIES_A_TURN = 60  # one after another, as a user who searches in a loop sees them
FEW_QUERIES_A_TURN = 10  # now and then: what the other engines did meanwhile has driven weights out of the caches
DOCUMENTS_A_TURN = 512
# Idle threads of one engine may spin for a moment after its turn; the next one waits for that.
PAUSE_SECONDS = 0.1


def measure_engines(names: Sequence[str], material: Material, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """Runs `query` and `bulk`, whichever is wanted, with all engines alive and taking turns.

    Returns:
        `query`, `bulk`, `agreement`, `memory` and `versions`, each by engine.
    """
    results: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(name, material)) for name in names]
        for worker in workers:
            worker.ask("encode_one", texts=material.queries[:5])
            worker.ask("encode_slice", texts=material.texts[:64])
        results["versions"] = {worker.name: worker.ask("versions") for worker in workers}
        results["memory"] = {w.name: {"loaded": w.ask("peak_memory")["megabytes"]} for w in workers}
        if "query" in wanted:
            results["query"] = measure_query(workers, material, "query", QUERIES_A_TURN)
            few = measure_query(workers, material, "few", FEW_QUERIES_A_TURN)
            for name, values in few.items():
                results["query"][name] |= {f"few {key}": value for key, value in values.items()}
        if "bulk" in wanted:
            results["bulk"] = measure_bulk(workers, material)
            for worker in workers:
                results["memory"][worker.name]["bulk"] = worker.ask("peak_memory")["megabytes"]
    results["agreement"] = compare_vectors(names, material.work)
    return results


def measure_query(
    workers: Sequence[Worker], material: Material, measure: str, queries_a_turn: int
) -> dict[str, dict[str, float]]:
    """Milliseconds from one query's text to its vector: median, p95, and what the processor's cores spent on it.

    Args:
        workers: The engines.
        material: Has the queries, each of which is asked once.
        measure: Names the vectors' files.
        queries_a_turn: How many an engine answers before it is another one's turn.
    """
    times: dict[str, list[float]] = {worker.name: [] for worker in workers}
    processor = dict.fromkeys(times, 0.0)
    for turn, texts in enumerate(slices(material.queries, queries_a_turn)):
        for worker in rotated(workers, turn):
            path = vectors_path(material.work, worker.name, measure, turn)
            answer = worker.ask("encode_one", texts=texts, save=path)
            times[worker.name] += answer["milliseconds"]
            processor[worker.name] += answer["processor_seconds"]
            time.sleep(PAUSE_SECONDS)
    return {
        name: {
            "median": statistics.median(milliseconds),
            "p95": float(np.percentile(milliseconds, 95)),
            "processor": 1000 * processor[name] / len(milliseconds),
        }
        for name, milliseconds in times.items()
    }


def measure_bulk(workers: Sequence[Worker], material: Material) -> dict[str, dict[str, float]]:
    """Documents encoded in a second, and the milliseconds that the processor's cores spent on each."""
    seconds: dict[str, list[float]] = {worker.name: [] for worker in workers}
    processor = dict.fromkeys(seconds, 0.0)
    for turn, texts in enumerate(slices(material.texts, DOCUMENTS_A_TURN)):
        for worker in rotated(workers, turn):
            path = vectors_path(material.work, worker.name, "bulk", turn)
            answer = worker.ask("encode_slice", texts=texts, save=path)
            seconds[worker.name].append(answer["seconds"])
            processor[worker.name] += answer["processor_seconds"]
            time.sleep(PAUSE_SECONDS)
    return {
        name: {
            "texts_per_second": len(material.texts) / sum(values),
            "processor": 1000 * processor[name] / len(material.texts),
        }
        for name, values in seconds.items()
    }


def measure_startup(names: Sequence[str], material: Material, repeats: int) -> dict[str, float]:
    """Median seconds from the start of a process to its first vector."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(repeats):
        for name in rotated(names, repeat):
            seconds[name].append(time_first_answer(name, material))
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure_imports(names: Sequence[str], material: Material, repeats: int) -> dict[str, float]:
    """Median seconds of commands that a user waits for; the first is the interpreter alone."""
    commands: dict[str, list[str | Path]] = {"python -c pass": [material.python, "-c", "pass"]}
    if TFCHAIN in names:
        commands["import tfchain"] = [material.python, "-c", "import tfchain"]
        commands["tfchain --help"] = [material.python.parent / "tfchain", "--help"]
    if REFERENCE in names:
        commands["import sentence_transformers"] = [material.peers, "-c", "import sentence_transformers"]
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=quiet_environment(), timeout=120)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def compare_vectors(names: Sequence[str], work: Path) -> dict[str, dict[str, float]]:
    """How far each engine's vectors are from sentence-transformers'.

    Raises:
        SystemExit: if a vector differs so much that the engines do not do the same work.
    """
    if REFERENCE not in names:
        return {}
    expected = load_vectors(work, REFERENCE)
    results = {}
    for name in names:
        found = load_vectors(work, name)
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        cosine = float(np.min(np.sum(found * expected, axis=1) / norms))
        results[name] = {"largest_difference": float(np.abs(found - expected).max()), "least_cosine": cosine}
        if cosine < ENGINES[name].least_cosine:
            raise SystemExit(f"{name}'s vectors are not {REFERENCE}'s: cosine {cosine:.6f}. Its times say nothing.")
    return results


def load_vectors(work: Path, name: str, measure: str = "*") -> np.ndarray:
    """All vectors that an engine has written, or those of one measure, in order."""
    return np.concatenate([np.load(path) for path in sorted(work.glob(f"{file_name(name)}-{measure}-*.npy"))])


def vectors_path(work: Path, name: str, measure: str, turn: int) -> str:
    """Where an engine writes the vectors of one turn."""
    return str(work / f"{file_name(name)}-{measure}-{turn:04}.npy")


def file_name(name: str) -> str:
    """An engine's name without spaces; no dash, which ends it, so that no name is the beginning of another."""
    return name.replace(" ", "_").replace("-", "_")


def slices(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Parts of that size; the last may be shorter."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def rotated(values: Sequence[Any], by: int) -> list[Any]:
    """The values, each turn begun by another one."""
    by %= len(values)
    return [*values[by:], *values[:by]]
