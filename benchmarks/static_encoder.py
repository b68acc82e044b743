"""A static encoder made from all-MiniLM-L6-v2: ranking before and after it is trained, and the time of a query.

Run: .venv/bin/python benchmarks/static_encoder.py [--every 3] [--epochs 5] [--output benchmarks/STATIC_ENCODER.md]
It learns from a data set's documents and sentences, and sees neither its queries nor its judgments. The teacher
computes in int8. Takes about a quarter of an hour on two cores, most of it for the teacher's vectors.
"""

import argparse
import re
import statistics
import time
from pathlib import Path
from typing import Any

from material import describe_machine
from scifact import find_minilm

from tfchain import Distill
from tfchain.data.documents.beir import read_beir
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.static_encoder import DISTILL, make_static_encoder
from tfchain.tasks.search.evaluation import make_evaluation
from tfchain.tasks.search.search import PassageConfig

SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])")
FEWEST_WORDS = 5
HEADINGS = ("encoder", "nDCG@10", "one query, median µs", "a text in bulk, µs", "MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/scifact"), help="a data set (%(default)s)")
    parser.add_argument("--every", type=int, default=3, help="learns from every n-th sentence (%(default)s)")
    parser.add_argument("--dim", type=int, default=256, help="of the vectors (%(default)s)")
    parser.add_argument("--epochs", type=int, default=DISTILL.epochs, help="(%(default)s)")
    parser.add_argument("--output", type=Path, help="where the table is written; default: it is printed only")
    options = parser.parse_args()

    dataset = read_beir(options.data)
    documents = [document.full_text for document in dataset.documents()]
    sentences = [one for text in documents for one in SENTENCE.split(text) if len(one.split()) >= FEWEST_WORDS]
    texts = [*documents, *sentences[:: options.every]]
    queries = list(dataset.queries.values())[:200]
    evaluate = make_evaluation(dataset, dataset.documents(), PassageConfig(mode="truncate"), metrics=["ndcg@10"])

    teacher = TextEncoder.from_pretrained(find_minilm(), precision="int8")
    recipe = Distill(epochs=options.epochs, batch_size=DISTILL.batch_size, learning_rate=DISTILL.learning_rate)
    rows = [row("all-MiniLM-L6-v2 in int8, the teacher", teacher, evaluate, queries)]
    plain = make_static_encoder(teacher, dim=options.dim)
    rows.append(row("static: principal components, weights by Zipf's law", plain, evaluate, queries))
    turned = make_static_encoder(teacher, texts, dim=options.dim, recipe=None)
    rows.append(row("static: weights by counts, turned by least squares", turned, evaluate, queries))
    start = time.perf_counter()
    trained = make_static_encoder(teacher, texts, dim=options.dim, recipe=recipe)
    seconds = time.perf_counter() - start
    rows.append(row(f"static: trained for {options.epochs} epochs", trained, evaluate, queries))
    rows.append(row("the same in int8", trained.with_precision("int8"), evaluate, queries))

    lines = [HEADINGS, ["---"] * len(HEADINGS), *rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    report = f"{table}\nLearned from {len(texts):,} texts in {seconds:.0f} s, the teacher's vectors included.\n"
    print(report)
    if options.output:
        machine = ", ".join(f"{key}: {value}" for key, value in describe_machine().items())
        head = f"# Static encoders\n\nWritten by `benchmarks/static_encoder.py` on {options.data.name}. {machine}."
        options.output.write_text(f"{head}\n\n{report}", encoding="utf-8")


def row(name: str, encoder: TextEncoder, evaluate: Any, queries: list[str]) -> list[str]:
    """The cells of one encoder."""
    encoder.encode(queries[0])
    times = []
    for query in [*queries, *queries]:  # the second time its words are remembered, as in a server
        start = time.perf_counter()
        encoder.encode(query)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    encoder.encode(queries, progress=False)
    bulk = (time.perf_counter() - start) / len(queries)
    config = encoder.config
    assert config is not None
    size = encoder.own_encoder.count_params() * (1 if encoder.precision == "int8" else 4) / 1e6
    cells = [name, f"{evaluate(encoder)['ndcg@10']:.4f}", f"{1e6 * statistics.median(times):.0f}", f"{1e6 * bulk:.0f}"]
    print(*cells, flush=True)
    return [*cells, f"{size:.0f}"]


if __name__ == "__main__":
    main()
