"""The small model that comes with tfchain beside all-MiniLM-L6-v2: speed by engine and precision, and ranking.

Run: .venv/bin/python benchmarks/small_model.py [--output benchmarks/SMALL_MODEL.md]
Both models take turns in one process, on the same texts, tokenizing included. A ratio above 1 is the small one's gain:
of the fastest turns for bulk, of medians for single queries. Takes about a quarter of an hour on two cores.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from material import describe_machine
from scifact import find_minilm

from tfchain.data.documents.beir import read_beir
from tfchain.models.bundled import find_bundled_model
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.evaluation import make_evaluation
from tfchain.tasks.search.search import PassageConfig

ENGINES = (
    *(
        ("native", "int8"),
        ("litert", "int8"),
        ("litert", "float32"),
        ("tensorflow", "float32"),
        ("tensorflow", "bfloat16"),
    ),
)
NAMES = ("all-MiniLM-L6-v2", "small-english")
HEADINGS = ("engine", "precision", "bulk: texts a second", "ratio", "one query: median ms", "ratio")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data sets")
    parser.add_argument("--documents", type=int, default=256, help="of SciFact, encoded in bulk (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="%(default)s")
    parser.add_argument("--quality", nargs="*", default=["scifact", "squad_dev"], help="data sets that are ranked")
    parser.add_argument("--output", type=Path, help="where the table is written; default: it is printed only")
    options = parser.parse_args()

    dataset = read_beir(options.data / "scifact")
    documents = [f"{one.title} {one.text}" for one in dataset.documents()]
    texts = documents[:: max(1, len(documents) // options.documents)][: options.documents]
    queries = list(dataset.queries.values())[:100]
    folders = (find_minilm(), find_bundled_model())
    rows = [
        [engine, precision, *measure(folders, engine, precision, texts, queries, options.turns)]
        for engine, precision in ENGINES
    ]
    parts = [table(HEADINGS, rows)]
    if options.quality:
        parts.append(table(("nDCG@10", *NAMES, "kept"), rank(folders, options.data, options.quality)))
    sizes = [sum(one.stat().st_size for one in folder.rglob("*") if one.is_file()) / 1e6 for folder in folders]
    parts.append(f"Files: {sizes[0]:.1f} MB and {sizes[1]:.1f} MB.\n")
    report = "\n".join(parts)
    print(report)
    if options.output:
        machine = ", ".join(f"{key}: {value}" for key, value in describe_machine().items())
        head = f"# The small model\n\nWritten by `benchmarks/small_model.py`. {machine}."
        options.output.write_text(f"{head}\n\n{report}", encoding="utf-8")


def measure(
    folders: Sequence[Path], engine: Any, precision: Any, texts: list[str], queries: list[str], turns: int
) -> list[str]:
    """The cells of one engine and precision."""
    encoders = [TextEncoder.from_pretrained(folder, engine=engine, precision=precision) for folder in folders]
    for encoder in encoders:  # converts, traces
        encoder.encode(texts, progress=False)
        encoder.encode(queries[0])
    bulk: list[list[float]] = [[], []]
    single: list[list[float]] = [[], []]
    for _ in range(turns):
        for encoder, bulk_times, single_times in zip(encoders, bulk, single, strict=True):
            bulk_times.append(seconds(lambda encoder=encoder: encoder.encode(texts, progress=False)))
            single_times += [seconds(lambda encoder=encoder, query=query: encoder.encode(query)) for query in queries]
    rates = [len(texts) / min(times) for times in bulk]
    medians = [1000 * float(np.median(times)) for times in single]
    print(engine, precision, rates, medians, flush=True)
    return [
        f"{rates[0]:.1f} / {rates[1]:.1f}",
        f"{rates[1] / rates[0]:.2f}",
        f"{medians[0]:.2f} / {medians[1]:.2f}",
        f"{medians[0] / medians[1]:.2f}",
    ]


def seconds(call: Any) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def rank(folders: Sequence[Path], data: Path, names: Sequence[str]) -> list[list[str]]:
    """nDCG@10 of both by data set."""
    rows = []
    for name in names:
        dataset = read_beir(data / name)
        evaluate = make_evaluation(dataset, dataset.documents(), PassageConfig(mode="truncate"), metrics=["ndcg@10"])
        values = [evaluate(TextEncoder.from_pretrained(folder))["ndcg@10"] for folder in folders]
        rows.append([name, *(f"{value:.4f}" for value in values), f"{values[1] / values[0]:.1%}"])
    return rows


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
