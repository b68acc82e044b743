"""SavedModels for stock TensorFlow Serving in float32, bfloat16 and int8: speed, size and ranking, in one run.

Each precision's version of all-MiniLM-L6-v2 is exported as a chain exports it and loaded as the embedded server loads
it (the session that a stock server runs, XLA off). Texts go in, vectors come out: tokenizing is included. All three
live in one process and take turns on the same texts, so that a ratio is of turns side by side.

Run: .venv/bin/python benchmarks/serving_precisions.py [--documents 1000] [--write]
Encodes all of SciFact and ranks its 300 test queries, which takes a quarter of an hour on two idle cores; --documents
takes so many, every judged one among them.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from material import describe_machine
from scifact import find_minilm

from tfchain.core.types import Document
from tfchain.data.documents.beir import read_beir
from tfchain.deployment.export import export
from tfchain.deployment.server.servables.saved_model import SavedModelServable, load_saved_model
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.compress import compress
from tfchain.optimization.recipes import Quantize
from tfchain.runtime.tf_text import load_tf_text
from tfchain.tasks.ranking_metrics import ranking_metrics
from tfchain.tasks.search.search_graph import make_search_graph

REPORT = Path(__file__).parent / "SERVING_PRECISIONS.md"
DOCUMENTS_A_TURN = 128
QUERIES_A_TURN = 10
BATCH = 32
FLOAT = "float32"
RECIPES = {"bfloat16": Quantize("bfloat16"), "int8": Quantize("int8", calibrated=True)}


@dataclass
class Served:
    """One precision's version, and what was measured of it."""

    name: str
    size_bytes: int
    servable: SavedModelServable
    turn_seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    query_ms: list[float] = field(default_factory=list)
    documents: list[np.ndarray] = field(default_factory=list)
    queries: list[np.ndarray] = field(default_factory=list)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of texts, by the version's signature `embed`."""
        inputs = {"text": np.array([text.encode() for text in texts], dtype=object)}
        (vectors,) = self.servable.run(self.servable.signatures["embed"], inputs, ["embedding"])
        return vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/scifact"))
    parser.add_argument("--documents", type=int, help="so many, every judged one among them. Default: all")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.name}, too")
    arguments = parser.parse_args()
    dataset = read_beir(arguments.data)
    documents = choose_documents(list(dataset.documents()), dataset.qrels, arguments.documents)
    texts = [one.full_text for one in documents]
    queries = dataset.queries

    with tempfile.TemporaryDirectory() as folder:
        versions = make_versions(Path(folder), texts)
        measure_queries(versions, list(queries.values()))
        measure_documents(versions, texts)
    names = [one.id for one in documents]
    quality = {one.name: rank(one, names, list(queries), dataset.qrels) for one in versions}
    report = write_report(versions, quality, len(texts))
    print(report)
    if arguments.write:
        REPORT.write_text(report, encoding="utf-8")


def choose_documents(documents: list[Document], qrels: Any, count: int | None) -> list[Document]:
    """Every judged document and others, evenly spread, in the corpus's order; all where no count is given."""
    if count is None or count >= len(documents):
        return documents
    judged = {name for grades in qrels.values() for name in grades}
    others = [one.id for one in documents if one.id not in judged]
    more = max(0, count - sum(one.id in judged for one in documents))
    kept = judged | {others[number * len(others) // more] for number in range(more)}
    return [one for one in documents if one.id in kept]


def make_versions(folder: Path, texts: Sequence[str]) -> list[Served]:
    """Exports and loads one version for each precision."""
    load_tf_text()
    whole = TextEncoder.from_pretrained(find_minilm(), engine="tensorflow")
    made = {FLOAT: whole}
    made |= {name: compress(whole, recipe, texts=texts).text_encoder for name, recipe in RECIPES.items()}
    versions = []
    for name, text_encoder in made.items():
        graph = make_search_graph(text_encoder, None)
        path = export(folder / name, graph.module, graph.signatures, proofs=graph.proofs)
        size = sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        versions.append(Served(name, size, load_saved_model(path)))
    return versions


def measure_queries(versions: Sequence[Served], queries: Sequence[str]) -> None:
    """Asks every query alone, the versions taking turns."""
    for one in versions:
        for text in queries[:QUERIES_A_TURN]:
            one.embed([text])
    for turn, start in enumerate(range(0, len(queries), QUERIES_A_TURN)):
        for one in rotate(versions, turn):
            for text in queries[start : start + QUERIES_A_TURN]:
                begin = time.perf_counter()
                one.queries.append(one.embed([text]))
                one.query_ms.append((time.perf_counter() - begin) * 1000)


def measure_documents(versions: Sequence[Served], texts: Sequence[str]) -> None:
    """Encodes the documents, the versions taking turns; texts of similar length go together, as a client would send."""
    for turn, start in enumerate(range(0, len(texts), DOCUMENTS_A_TURN)):
        part = texts[start : start + DOCUMENTS_A_TURN]
        order = np.argsort([-len(text) for text in part], kind="stable")
        batches = [order[first : first + BATCH] for first in range(0, len(order), BATCH)]
        for one in rotate(versions, turn):
            if turn == 0:
                one.embed([part[row] for row in batches[0]])  # memory is allocated
            begin, processor = time.perf_counter(), time.process_time()
            vectors = [one.embed([part[row] for row in rows]) for rows in batches]
            one.turn_seconds.append(time.perf_counter() - begin)
            one.processor_seconds.append(time.process_time() - processor)
            ordered = np.empty((len(part), vectors[0].shape[1]), "float32")
            ordered[np.concatenate(batches)] = np.concatenate(vectors)
            one.documents.append(ordered)
        print(
            f"turn {turn + 1}: " + ", ".join(f"{one.name} {one.turn_seconds[-1]:.1f} s" for one in versions), flush=True
        )


def rotate(versions: Sequence[Served], turn: int) -> list[Served]:
    """The versions, another one first in each turn."""
    first = turn % len(versions)
    return [*versions[first:], *versions[:first]]


def rank(one: Served, documents: Sequence[str], queries: Sequence[str], qrels: Any) -> dict[str, float]:
    """nDCG@10 and recall@100 of exact search with one version's vectors."""
    scores = np.concatenate(one.queries) @ np.concatenate(one.documents).T
    run = {}
    for name, row in zip(queries, scores, strict=True):
        best = np.argsort(-row, kind="stable")[:100]
        run[name] = [(documents[place], float(row[place])) for place in best]
    return ranking_metrics(run, qrels, ["ndcg@10", "recall@100"])


def write_report(versions: Sequence[Served], quality: dict[str, dict[str, float]], num_documents: int) -> str:
    """The table as Markdown."""
    machine = describe_machine()
    whole = versions[0]
    float_vectors = np.concatenate(whole.documents)
    lines = [
        "# SavedModels in smaller numbers",
        "",
        f"Printed by `benchmarks/serving_precisions.py` on {date.today()}: all-MiniLM-L6-v2,",
        f"{num_documents:,} documents of SciFact in batches of {BATCH}, {len(whole.query_ms)} queries one by one, from",
        "text to vector through the embedded server's session, tokenizing included; all versions in one process and",
        "taking turns.",
        f"{machine['processor']}, {machine['cores']} cores ({machine['features']}), load {machine['load']} at the end:",
        "where other processes ran, read the ratios, medians over turns side by side: of the time that passed, and of",
        "what the processor's cores spent, which other processes disturb less.",
        "",
        "| version | MB | texts/s | times float32 | by processor time | query ms (median) | times float32 "
        "| cosine to float32 (mean, least) | nDCG@10 | recall@100 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in versions:
        query = statistics.median(one.query_ms)
        cosine = (np.concatenate(one.documents) * float_vectors).sum(axis=1)
        found = quality[one.name]
        change = 100 * (found["ndcg@10"] / quality[FLOAT]["ndcg@10"] - 1)
        cells = [
            one.name,
            f"{one.size_bytes / 1e6:.0f}",
            f"{num_documents / sum(one.turn_seconds):.1f}",
            f"{median_ratio(whole.turn_seconds, one.turn_seconds):.2f}",
            f"{median_ratio(whole.processor_seconds, one.processor_seconds):.2f}",
            f"{query:.1f}",
            f"{statistics.median(whole.query_ms) / query:.2f}",
            f"{cosine.mean():.5f}, {cosine.min():.5f}",
            f"{found['ndcg@10']:.4f}" + (f" ({change:+.2f} %)" if one is not whole else ""),
            f"{found['recall@100']:.4f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def median_ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """The median of the ratios of two lists' values side by side."""
    return statistics.median(one / other for one, other in zip(first, second, strict=True))


if __name__ == "__main__":
    main()
