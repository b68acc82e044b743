"""Augmentation on SciFact: a model trained on its documents alone, without any query, beside the untrained one.

Run: .venv/bin/python benchmarks/augmentation.py [--models small minilm] [--write]
A choice of settings: --splits train ranks the training queries in place of the test queries.
With --path trained weights are kept there, and a run with the same settings ranks them without training again.

Queries are made of the documents by their own words (`SynthesizeQueries`), without a generator; each epoch is one pass
over a sample of them, with other rows of the batch as negatives. Ranks all documents, cut off at the model's maximum
length, for the queries of the splits. --write writes AUGMENTATION.md.
"""

import argparse
import hashlib
import shlex
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from material import describe_machine
from scifact import find_minilm

from tfchain import NeuralSearchChain
from tfchain.core.atomic import write_file
from tfchain.core.types import Document
from tfchain.data.augmentation.query_filters import DropRepeatedQueries
from tfchain.data.augmentation.synthetic_queries import SynthesizeQueries
from tfchain.data.augmentation.word_negatives import AddWordNegatives
from tfchain.data.augmentation.word_noise import DeleteWords
from tfchain.data.documents.beir import read_beir
from tfchain.data.lexical.terms import count_words
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
        deleted: The share of a query's words that each row leaves out.
    """

    rows: int
    learning_rate: float
    max_length: int = 96
    negatives: int = 0
    deleted: float = 0.0
    batch_size: int = 64
    scale: float = 20.0


RECIPES = {
    "small": Recipe(rows=5000, learning_rate=1e-4, negatives=1),
    "minilm": Recipe(rows=4000, learning_rate=6e-5, negatives=1),
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
    add("--splits", nargs="+", default=["test"], help="the queries that are ranked (test)")
    add("--path", type=Path, help="a folder for trained weights")
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
    kept = None if options.path is None else options.path / f"{name}-{options.seed}-{make_digest(recipe)}.npz"
    if kept is not None and kept.exists():
        with np.load(kept) as file:
            weights, seconds = [file[key] for key in file.files[:-1]], float(file["seconds"])
    else:
        weights, seconds = train(path, recipe, options.seed, chosen)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(kept, *weights, seconds=np.array(seconds))
    # Ranked with the model's own maximum length, which is longer than that of the training.
    chain = NeuralSearchChain.from_pretrained(path, passages="truncate", batch_size=64)
    chain.text_encoder.set_weights(weights)
    after = rank(chain, options, documents)
    say(f"{name}, trained: {after}")
    return {"before": before, "after": after, "seconds": seconds, "steps": -(-len(chosen) // recipe.batch_size)}


def train(path: Path, recipe: Recipe, seed: int, rows: list[dict[str, Any]]) -> tuple[list[np.ndarray], float]:
    """Trains a model on rows; returns its weights and the seconds."""
    begin = time.perf_counter()
    trained = NeuralSearchChain.from_pretrained(path, passages="truncate", max_length=recipe.max_length)
    history = trained.fit(
        rows,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        loss={"name": "in_batch_softmax", "scale": recipe.scale},
        augment=[DeleteWords(rate=recipe.deleted, columns=("query",), seed=seed)] if recipe.deleted else (),
        seed=seed,
    )
    seconds = time.perf_counter() - begin
    say(f"loss {history.history['loss']}, {seconds:.0f} s")
    return trained.text_encoder.encoder.get_weights(), seconds


def make_digest(recipe: Recipe) -> str:
    """A short name of a recipe's values."""
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]


def rank(
    chain: NeuralSearchChain, options: argparse.Namespace, documents: list[Document]
) -> dict[str, dict[str, float]]:
    """Measures the ranking of all documents for the queries of each split."""
    chain.add(documents)
    return {split: chain.evaluate(options.data, split=split, metrics=METRICS) for split in options.splits}


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
        f"no training saw. Ranked are all documents, cut off at 256 tokens.",
        "",
        "| model | queries | | " + " | ".join(METRICS) + " |",
        "| --- | --- | --- | " + " | ".join("---" for _ in METRICS) + " |",
    ]
    for name, result in results.items():
        for split in options.splits:
            for when in ("before", "after"):
                figures = " | ".join(f"{result[when][split][metric]:.4f}" for metric in METRICS)
                state = "untrained" if when == "before" else "trained"
                lines.append(f"| {TITLES[name]} | {split} | {state} | {figures} |")
    lines.append("")
    for name, result in results.items():
        recipe = RECIPES[name]
        gains = {
            split: result["after"][split]["ndcg@10"] - result["before"][split]["ndcg@10"] for split in options.splits
        }
        gain = ", ".join(f"{value:+.4f} on {split}" for split, value in gains.items())
        negatives = f"{recipe.negatives} negatives by words" if recipe.negatives else "no hard negatives"
        lines.append(
            f"- {TITLES[name]}: nDCG@10 {gain} after {result['steps']} steps of {recipe.batch_size} rows, "
            f"learning rate {recipe.learning_rate:g}, {recipe.max_length} tokens, {negatives}, "
            f"{recipe.deleted:.0%} of a query's words left out; "
            f"{result['seconds']:.0f} seconds."
        )
    return "\n".join(lines) + "\n"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
