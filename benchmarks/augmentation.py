"""Augmentation on SciFact: a model fitted on its documents alone, without any query, beside the untrained one.

Run: .venv/bin/python benchmarks/augmentation.py [--models small minilm] [--write]
A choice of settings: --splits train ranks the training queries in place of the test queries.

Queries are made of the documents by their own words (`SynthesizeQueries`), without a generator, and `fit_adapter` fits
a linear map of the model's vectors on them. With --full, `fit` trains the whole model on a sample of the same queries
with hard negatives by words, for comparison, which takes much longer. Ranks all documents, cut off at the model's
maximum length, for the queries of the splits. --write writes AUGMENTATION.md.
"""

import argparse
import dataclasses
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
from tfchain.data.documents.beir import read_beir
from tfchain.data.lexical.terms import count_words
from tfchain.data.steps.run import run_steps
from tfchain.models.bundled import find_bundled_model
from tfchain.training.adapters.options import AdapterOptions

HERE = Path(__file__).parent
METRICS = ("ndcg@10", "mrr@10", "recall@100")


@dataclass(frozen=True)
class Recipe:
    """How `fit` trains the whole model, with --full; chosen on the training queries with the small model.

    Args:
        rows: The rows of the training.
        learning_rate: The largest step size.
        max_length: The tokens of a text while training.
        negatives: Hard negatives of a row, by words.
        batch_size: Rows of a step.
        scale: Of the loss.
    """

    rows: int = 5000
    learning_rate: float = 1e-4
    max_length: int = 96
    negatives: int = 1
    batch_size: int = 64
    scale: float = 20.0


@dataclass(frozen=True)
class Result:
    """The figures of each split, and the seconds that the model took to learn."""

    figures: dict[str, dict[str, float]]
    seconds: float = 0.0


RECIPE = Recipe()
OPTIONS = AdapterOptions()
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
    add("--models", nargs="+", choices=tuple(TITLES), default=list(TITLES))
    add("--splits", nargs="+", default=["test"], help="the queries that are ranked (test)")
    add("--seed", type=int, default=0, help="of the rows, their order and all draws (%(default)s)")
    add("--full", action="store_true", help="train the whole model as well")
    add("--write", action="store_true", help="write AUGMENTATION.md")
    return parser.parse_args()


def make_rows(documents: list[Document], seed: int) -> list[dict[str, Any]]:
    """Makes rows of documents: sentences and key phrases that ask for their whole document."""
    words = count_words(document.full_text for document in documents)
    steps = [
        SynthesizeQueries(kinds=("sentence", "phrases"), keep=1.0, words=words, seed=seed),
        DropRepeatedQueries(),
    ]
    return [dict(row) for row in run_steps(documents, steps) if not isinstance(row, Document)]


def measure(
    name: str, options: argparse.Namespace, documents: list[Document], rows: list[dict[str, Any]]
) -> dict[str, Result]:
    """Ranks with a model before and after it learns from the rows."""
    path = find_bundled_model() if name == "small" else find_minilm()
    chain = NeuralSearchChain.from_pretrained(path, passages="truncate", batch_size=64)
    results = {"untrained": Result(rank(chain, options, documents))}
    say(f"{name}, untrained: {results['untrained'].figures}")
    begin = time.perf_counter()
    chain.fit_adapter(rows, dataclasses.replace(OPTIONS, seed=options.seed))
    seconds = time.perf_counter() - begin
    results["fit_adapter"] = Result(rank(chain, options, documents), seconds)
    say(f"{name}, fit_adapter: {results['fit_adapter'].figures}, {seconds:.0f} s")
    if options.full:
        weights, seconds = train(path, options.seed, documents, rows)
        # Ranked with the model's own maximum length, which is longer than that of the training.
        chain = NeuralSearchChain.from_pretrained(path, passages="truncate", batch_size=64)
        chain.text_encoder.set_weights(weights)
        results["fit"] = Result(rank(chain, options, documents), seconds)
        say(f"{name}, fit: {results['fit'].figures}, {seconds:.0f} s")
    return results


def train(
    path: Path, seed: int, documents: list[Document], rows: list[dict[str, Any]]
) -> tuple[list[np.ndarray], float]:
    """Trains the whole model on a sample of the rows; returns its weights and the seconds."""
    chosen = Random(seed).sample(rows, min(RECIPE.rows, len(rows)))
    passages = tuple((document.id, document.full_text) for document in documents)
    step = AddWordNegatives(num_negatives=RECIPE.negatives, passages=passages, seed=seed)
    pairs = [{name: row[name] for name in ("query", "positive", "negative_1")} for row in map(dict, step(chosen))]
    begin = time.perf_counter()
    chain = NeuralSearchChain.from_pretrained(path, passages="truncate", max_length=RECIPE.max_length)
    chain.fit(
        pairs,
        batch_size=RECIPE.batch_size,
        learning_rate=RECIPE.learning_rate,
        loss={"name": "in_batch_softmax", "scale": RECIPE.scale},
        seed=seed,
    )
    return chain.text_encoder.encoder.get_weights(), time.perf_counter() - begin


def rank(
    chain: NeuralSearchChain, options: argparse.Namespace, documents: list[Document]
) -> dict[str, dict[str, float]]:
    """Measures the ranking of all documents for the queries of each split."""
    if not len(chain):
        chain.add(documents)
    return {split: chain.evaluate(options.data, split=split, metrics=METRICS) for split in options.splits}


def write_report(
    options: argparse.Namespace,
    results: dict[str, dict[str, Result]],
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
        f"({made}) in {seconds:.0f} seconds, without a generator. `fit_adapter` fits a linear map of the vectors on "
        f"them: {OPTIONS.steps} steps of {OPTIONS.batch_size} queries, each compared with all documents, learning rate "
        f"{OPTIONS.learning_rate:g}. Kinds of queries and settings were chosen on the training queries with the small "
        "model. Ranked are all documents, cut off at 256 tokens. Seconds include the encoding of all rows.",
        "",
        "| model | queries | | " + " | ".join(METRICS) + " | nDCG@10 gained | seconds |",
        "| --- | --- | --- | " + " | ".join("---" for _ in METRICS) + " | --- | --- |",
    ]
    for name, states in results.items():
        base = states["untrained"]
        for split in options.splits:
            for state, result in states.items():
                figures = " | ".join(f"{result.figures[split][metric]:.4f}" for metric in METRICS)
                gain = result.figures[split]["ndcg@10"] - base.figures[split]["ndcg@10"]
                last = " | " if state == "untrained" else f"{gain:+.4f} | {result.seconds:.0f}"
                shown = state if state == "untrained" else f"`{state}`"
                lines.append(f"| {TITLES[name]} | {split} | {shown} | {figures} | {last} |")
    if options.full:
        lines += [
            "",
            f"`fit` trained the whole model on {RECIPE.rows} of the rows, each with {RECIPE.negatives} negative by "
            f"words (`add_word_negatives`): batches of {RECIPE.batch_size}, learning rate {RECIPE.learning_rate:g}, "
            f"{RECIPE.max_length} tokens.",
        ]
    return "\n".join(lines) + "\n"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
