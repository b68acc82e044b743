"""Smaller vectors on all of SciFact with MiniLM: what each way of keeping them costs in ranking, memory and time.

Run: .venv/bin/python benchmarks/vectors.py [--vectors FILE.npz] [--write]
The texts are encoded once (documents cut at 256 tokens); all rows of the table are made of the same vectors, and timed
by turns. `--vectors` keeps the encoded texts in a file, or takes them from there if the same model made them. Takes
some minutes on two cores; prints the table, and writes benchmarks/VECTORS.md when `--write` is given.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from material import HERE, describe_machine
from scifact import find_minilm

from tfchain.data.documents.beir import BeirDataset, read_beir
from tfchain.models.indexes.exact import StoredVectors, VectorIndex
from tfchain.models.indexes.exact_graph import make_search
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.reduce import find_directions
from tfchain.tasks.ranking_metrics import ranking_metrics

TOP_K = 10
ROUNDS = 15
MANY_ROUNDS = 5
MANY_VECTORS = 100_000
BATCH = 32
WAYS: dict[str, dict[str, Any]] = {
    "float32": {},
    "int8": {"storage": VectorStorage("int8")},
    "binary, signs, bits alone": {"storage": VectorStorage("binary", None, "signs")},
    "binary, signs, rescored x4": {"storage": VectorStorage("binary", 4, "signs")},
    "binary, learned, bits alone": {"storage": VectorStorage("binary", None)},
    "binary, learned, rescored x4": {"storage": VectorStorage("binary", 4)},
    "binary, learned, rescored x10": {"storage": VectorStorage("binary", 10)},
    "truncated to 192": {"truncate": 192},
    "PCA to 192": {"pca": 192},
    "PCA to 128": {"pca": 128},
    "PCA to 192, int8": {"pca": 192, "storage": VectorStorage("int8")},
}
COLUMNS = (
    "vectors", "nDCG@10", "to float32", "nDCG@10, train", "to float32", "bytes", "and codebook", "part of float32",
    "ms, Python", "ms, graph", f"ms, graph, {BATCH} at once", f"ms, graph, {MANY_VECTORS:,} vectors",
)  # fmt: skip


@dataclass(frozen=True)
class Texts:
    """Vectors with what is asked of them.

    Args:
        documents: float32 `(documents, dim)`.
        queries: By split, float32 `(queries, dim)`.
        datasets: By split, queries and judgements.
    """

    documents: np.ndarray
    queries: dict[str, np.ndarray]
    datasets: dict[str, BeirDataset]


@dataclass
class Way:
    """One row of the table."""

    name: str
    index: VectorIndex
    queries: dict[str, np.ndarray]
    search: Any
    search_many: Any
    times: dict[str, list[float]]


def main() -> None:
    """Reads the options, measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/scifact"), help="BEIR folder (%(default)s)")
    parser.add_argument("--vectors", type=Path, default=None, help="where encoded texts are kept, .npz")
    parser.add_argument("--write", action="store_true", help="write benchmarks/VECTORS.md")
    arguments = parser.parse_args()
    texts = read_texts(arguments.data, arguments.vectors)
    ways: list[Way] = []
    for name, options in WAYS.items():
        ways.append(make_way(name, texts, ways, **options))
    measure_times(ways)
    report = write_report(ways, texts)
    print(report)
    if arguments.write:
        (HERE / "VECTORS.md").write_text(report, encoding="utf-8")


def read_texts(data: Path, kept: Path | None) -> Texts:
    """SciFact's vectors by MiniLM, from the file if it is the same model's."""
    datasets = {split: read_beir(data, split=split) for split in ("test", "train")}
    text_encoder = TextEncoder.from_pretrained(find_minilm())
    if kept is not None and kept.is_file():
        with np.load(kept) as arrays:
            if str(arrays["fingerprint"]) == text_encoder.fingerprint:
                return Texts(arrays["documents"], {split: arrays[split] for split in datasets}, datasets)
    documents = text_encoder.encode_document([one.full_text for one in datasets["test"].documents()])
    queries = {split: text_encoder.encode_query(list(one.queries.values())) for split, one in datasets.items()}
    if kept is not None:
        np.savez(kept, fingerprint=text_encoder.fingerprint, documents=documents, **queries)
    return Texts(documents, queries, datasets)


def make_way(
    name: str,
    texts: Texts,
    others: Sequence[Way],
    *,
    storage: VectorStorage | None = None,
    truncate: int | None = None,
    pca: int | None = None,
) -> Way:
    """Puts the documents into an index of the kind; `pca` learns from the documents, as the recipe does.

    Bits that another way has learned, or taken, are taken over.
    """
    documents, queries = texts.documents, texts.queries
    if truncate is not None:
        documents, queries = documents[:, :truncate], {split: one[:, :truncate] for split, one in queries.items()}
    if pca is not None:
        directions = find_directions(documents, pca)
        documents, queries = documents @ directions, {split: one @ directions for split, one in queries.items()}
    dim = documents.shape[1]
    storage = storage or VectorStorage()
    same = (
        one.index
        for one in others
        if one.index.dim == dim
        and (one.index.storage.precision, one.index.storage.codes) == ("binary", storage.codes)
        and storage.precision == "binary"
    )
    twin = next(same, None)
    index = VectorIndex(dim, "cosine", storage, None if twin is None else twin.codebook)
    index.add(documents if twin is None else twin.stored, [1] * len(documents))
    many = VectorIndex(dim, "cosine", index.storage, index.codebook)
    for start in range(0, MANY_VECTORS, len(documents)):  # the same vectors again and again: times alone are taken
        part: StoredVectors = index.stored[: MANY_VECTORS - start]
        many.add(part, [1] * len(part))
    return Way(name, index, queries, make_graph(index), make_graph(many), {key: [] for key in COLUMNS[-4:]})


def make_graph(index: VectorIndex) -> Any:
    """The index as a TensorFlow function of queries; it holds its module."""
    import tensorflow as tf

    module = tf.Module()
    specs = [tf.TensorSpec([None, index.dim], tf.float32)]
    module.search = tf.function(make_search(module, index, TOP_K), input_signature=specs, autograph=False)
    return module.search


def measure_times(ways: Sequence[Way]) -> None:
    """Times every way in turn, several times over."""
    for number in range(-1, ROUNDS):  # the first one warms up
        for way in ways:
            queries = way.queries["test"]
            at = (max(number, 0) * BATCH) % (len(queries) - BATCH)
            one, several = queries[at : at + 1], queries[at : at + BATCH]
            runs = [
                lambda way=way, one=one: way.index.search(one, TOP_K),
                lambda way=way, one=one: way.search(one)[0].numpy(),
                lambda way=way, several=several: way.search(several)[0].numpy(),
            ]
            if number < MANY_ROUNDS:
                runs.append(lambda way=way, one=one: way.search_many(one)[0].numpy())
            for key, run in zip(COLUMNS[-4:], runs, strict=False):
                start = time.perf_counter()
                run()
                if number >= 0:
                    way.times[key].append(1000 * (time.perf_counter() - start))


def rank(way: Way, texts: Texts, split: str) -> float:
    """nDCG@10 of a split's queries; the graph must find the same."""
    dataset, queries = texts.datasets[split], way.queries[split]
    ids = [one.id for one in dataset.documents()]
    rows, scores = way.index.search(queries, TOP_K)
    in_graph = way.search(queries)[0].numpy()
    if np.abs(in_graph - scores).max() > 1e-4:
        raise SystemExit(f"{way.name}: the graph's scores are {np.abs(in_graph - scores).max():.2g} from Python's.")
    run = {
        query: [(ids[row], float(score)) for row, score in zip(one, its, strict=True) if ids[row] != query]
        for query, one, its in zip(dataset.queries, rows, scores, strict=True)
    }
    return ranking_metrics(run, dataset.qrels, ("ndcg@10",))["ndcg@10"]


def write_report(ways: Sequence[Way], texts: Texts) -> str:
    """The table with what it was measured on, in Markdown."""
    described = describe_machine()
    machine = ", ".join(f"{key}: {value}" for key, value in described.items())
    busy = float(described["load"]) > 1.5 * int(described["cores"])
    counts = {split: len(one) for split, one in texts.queries.items()}
    lines = [
        "# Smaller vectors",
        "",
        f"Printed by `benchmarks/vectors.py --write` on {datetime.now(UTC):%Y-%m-%d}, all in one run: all of SciFact's "
        f"{len(texts.documents):,} documents, cut at 256 tokens,",
        f"all-MiniLM-L6-v2 in float32, cosine, the {TOP_K} best. Its {counts['test']} test queries, and its "
        f"{counts['train']} training queries as a second sample;",
        "no code or direction was learned from either, but the way bits are learned was chosen with both in view.",
        "Codebooks and principal directions are learned from the documents' vectors.",
        "Times are medians of one query, vector to rows, tokenizing and encoding left out; read the ratios.",
        f"Machine: {machine}."
        + (" It was busy with other work meanwhile: these times say little, run it again." if busy else ""),
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"| --- |{' ---: |' * (len(COLUMNS) - 1)}",
    ]
    whole: dict[str, float] = {}
    for way in ways:
        cells = [way.name]
        for split in texts.queries:
            found = rank(way, texts, split)
            cells += [f"{found:.4f}", f"{found / whole.setdefault(split, found) - 1:+.1%}"]
        size, book = way.index.stored.nbytes, way.index.nbytes - way.index.stored.nbytes
        cells += [f"{size:,}", f"{book:,}" if book else "", f"1/{ways[0].index.stored.nbytes / size:.1f}"]
        cells += [f"{statistics.median(way.times[key]):.2f}" for key in COLUMNS[-4:]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
