"""Augmentation on SciFact: a model trained on its documents alone, without any query, beside the untrained one.

Run: .venv/bin/python benchmarks/augmentation.py [--models small minilm] [--write]
A choice of settings: --split train ranks the training queries in place of the test queries.

Queries are made of the documents by their own words (`SynthesizeQueries`), without a generator; each epoch is one pass
over a sample of them, with other rows of the batch as negatives. Ranks all documents, cut off at the model's maximum
length, for the queries of the split. --write writes AUGMENTATION.md.
"""

import argparse
import shlex
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from material import describe_machine
from scifact import find_minilm

from tfchain import NeuralSearchChain
from tfchain.core.atomic import write_file
from tfchain.core.types import Document
from tfchain.data.augmentation.query_filters import DropRepeatedQueries
from tfchain.data.augmentation.synthetic_queries import SynthesizeQueries
from tfchain.data.augmentation.word_negatives import AddWordNegatives
from tfchain.data.augmentation.words import count_words
from tfchain.data.documents.beir import read_beir
from tfchain.data.steps.run import run_steps
from tfchain.models.bundled import find_bundled_model

HERE = Path(__file__).parent
METRICS = ("ndcg@10", "mrr@10", "recall@100")


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; chosen on the training queries.

    Args:
        rows: The rows of the training.
        learning_rate: The largest step size.
        max_length: The tokens of a text while training.
        negatives: Hard negatives of a row, by words.
    """

    rows: int
    learning_rate: float
    max_length: int = 96
    negatives: int = 0
    batch_size: int = 64
    scale: float = 20.0


RECIPES = {
    "small": Recipe(rows=5000, learning_rate=1e-4),
    "minilm": Recipe(rows=4000, learning_rate=3e-5),
}
TITLES = {"small": "the small English model that comes with tfchain", "minilm": "all-MiniLM-L6-v2"}


def main() -> None:
    options = parse_options()
    documents = list(read_beir(options.data).documents())
    begin = time.perf_counter()
    rows = make_rows(documents, options.seed)
    seconds = time.perf_counter() - begin
    kinds = Counter(row["kind"] for row in rows)
    say(f"{len(documents)} documents made {len(rows)} rows in {seconds:.0f} s: {dict(kinds)}")
    results = {name: measure(name, options, documents, rows) for name in options.models}
    text = write_report(options, results, documents, kinds, seconds)
    print(text)
    if options.write:
        write_file(HERE / "AUGMENTATION.md", text)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=Path("../shared/data/scifact"))
    add("--models", nargs="+", choices=tuple(RECIPES), default=list(RECIPES))
    add("--split", default="test", help="the queries that are ranked (%(default)s)")
    add("--seed", type=int, default=0, help="of the rows, their order and dropout (%(default)s)")
    add("--write", action="store_true", help="write AUGMENTATION.md")
    return parser.parse_args()


def make_rows(documents: list[Document], seed: int) -> list[dict[str, Any]]:
    """Makes rows of documents, in random order."""
    words = count_words(document.full_text for document in documents)
    steps = [
        SynthesizeQueries(kinds=("title", "sentence", "phrases"), words=words, seed=seed),
        DropRepeatedQueries(),
    ]
    rows = [dict(row) for row in run_steps(documents, steps) if not isinstance(row, Document)]
    Random(seed).shuffle(rows)
    return rows


def measure(
    name: str, options: argparse.Namespace, documents: list[Document], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """Ranks with a model before and after its training."""
    recipe = RECIPES[name]
    path = find_bundled_model() if name == "small" else find_minilm()
    chosen = rows[: recipe.rows]
    if recipe.negatives:
        passages = tuple((document.id, document.full_text) for document in documents)
        step = AddWordNegatives(num_negatives=recipe.negatives, passages=passages, seed=options.seed)
        chosen = [dict(row) for row in step(chosen) if not isinstance(row, Document)]

    before = rank(NeuralSearchChain.from_pretrained(path, passages="truncate", batch_size=64), options, documents)
    say(f"{name}, untrained: {before}")
    begin = time.perf_counter()
    trained = NeuralSearchChain.from_pretrained(path, passages="truncate", max_length=recipe.max_length)
    history = trained.fit(
        chosen,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        loss={"name": "in_batch_softmax", "scale": recipe.scale},
        seed=options.seed,
    )
    seconds = time.perf_counter() - begin
    say(f"{name}: loss {history.history['loss']}, {seconds:.0f} s")
    # Ranked with the model's own maximum length, which is longer than that of the training.
    whole = NeuralSearchChain.from_pretrained(path, passages="truncate", batch_size=64)
    whole.text_encoder.set_weights(trained.text_encoder.encoder.get_weights())
    after = rank(whole, options, documents)
    say(f"{name}, trained: {after}")
    return {"before": before, "after": after, "seconds": seconds, "steps": -(-len(chosen) // recipe.batch_size)}


def rank(chain: NeuralSearchChain, options: argparse.Namespace, documents: list[Document]) -> dict[str, float]:
    """Measures the ranking of all documents for the queries of the split."""
    chain.add(documents)
    return chain.evaluate(options.data, split=options.split, metrics=METRICS)


def write_report(
    options: argparse.Namespace,
    results: dict[str, dict[str, Any]],
    documents: list[Document],
    kinds: Counter[str],
    seconds: float,
) -> str:
    """The text of AUGMENTATION.md."""
    machine = describe_machine()
    made = ", ".join(f"{count} of {kind}" for kind, count in kinds.items())
    lines = [
        "# Augmentation on SciFact",
        "",
        f"`{shlex.join(['python', 'benchmarks/augmentation.py', *sys.argv[1:]])}`; {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory']}, load {machine['load']}.",
        "",
        f"{len(documents)} documents, none of their queries: `SynthesizeQueries` made {sum(kinds.values())} rows "
        f"({made}) in {seconds:.0f} seconds, without a generator. A sample of them trains each model for one epoch, "
        "with the batch's other rows as negatives. Learning rates and rows were chosen on the training queries, which "
        f"no training saw. Ranked are all documents, cut off at 256 tokens, for the {options.split} queries.",
        "",
        "| model | | " + " | ".join(METRICS) + " |",
        "| --- | --- | " + " | ".join("---" for _ in METRICS) + " |",
    ]
    for name, result in results.items():
        for when in ("before", "after"):
            figures = " | ".join(f"{result[when][metric]:.4f}" for metric in METRICS)
            lines.append(f"| {TITLES[name]} | {'untrained' if when == 'before' else 'trained'} | {figures} |")
    lines.append("")
    for name, result in results.items():
        recipe, gain = RECIPES[name], result["after"]["ndcg@10"] - result["before"]["ndcg@10"]
        negatives = f"{recipe.negatives} negatives by words" if recipe.negatives else "no hard negatives"
        lines.append(
            f"- {TITLES[name]}: {gain:+.4f} nDCG@10 after {result['steps']} steps of {recipe.batch_size} rows, "
            f"learning rate {recipe.learning_rate:g}, {recipe.max_length} tokens, {negatives}; "
            f"{result['seconds']:.0f} seconds."
        )
    return "\n".join(lines) + "\n"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
