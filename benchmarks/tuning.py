"""Tuning on SciFact: the default values beside the best of some trials, on queries that no trial saw.

Run: .venv/bin/python benchmarks/tuning.py --path .demo/tuning [--model FOLDER; default: the small model of tfchain]
A first look: --trials 2 --train-queries 16 --held-out 8 --test-queries 8 --max-length 16 --seeds 1 --out LOOK.md

Part of the training queries is held out: trials train on the others and are ranked on these, on a fixed subset of
1,000 documents that holds every judged one. Then a model is trained with the default values and one with the best,
on the same queries, each seed alike, and both are ranked on the test queries among all documents. Writes TUNING.md.
With --path a run that was stopped goes on.
"""

import argparse
import dataclasses
import hashlib
import shlex
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from material import describe_machine

from tfchain import FitOptions, Mining, NeuralSearchChain, Range, Validation
from tfchain.core.atomic import write_file
from tfchain.core.types import Document
from tfchain.data.documents.beir import BeirDataset, read_beir
from tfchain.data.documents.subset import read_subset
from tfchain.models.bundled import find_bundled_model
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.tuning.report import TuningReport

HERE = Path(__file__).parent
METRICS = ("ndcg@10", "mrr@10", "recall@100")
SPACE: dict[str, Any] = {
    "learning_rate": Range(5e-6, 2e-4, sampling="log"),
    "batch_size": [16, 32, 64],
    "epochs": Range(1, 3),
    "warmup": Range(0.0, 0.3),
    "loss.scale": Range(10.0, 50.0),
    "mining.num_negatives": [0, 1, 2],
}


def main() -> None:
    options = parse_options()
    begin = time.perf_counter()
    train, held_out, test = split_queries(options)
    subset = read_subset(options.data, options.documents)
    say(f"{len(train.qrels)} queries to train on, {len(held_out.qrels)} held out, {len(test.qrels)} to test")

    train = dataclasses.replace(train, corpus=list(train.documents()))
    validation = Validation(dataset=dataclasses.replace(held_out, corpus=subset), metrics=METRICS)
    chain = make_chain(options)
    report = chain.tune(
        train,
        SPACE,
        options.tuner,
        options.trials,
        validation=validation,
        seed=options.seed,
        path=options.path,
        options=make_options(subset),
    )
    print(report, flush=True)
    searched = time.perf_counter() - begin

    results = {"untrained": [rank(make_chain(options), test)], "default": [], "best": []}
    say(f"untrained: {results['untrained'][0]}")
    for seed in options.seeds:
        for name, tuned in (("default", None), ("best", chain)):
            trained = fit(options, train, validation, tuned, seed)
            results[name].append(rank(trained, test))
            say(f"{name}, seed {seed}: {results[name][-1]}")
    text = describe(options, report, results, [len(one.qrels) for one in (train, held_out, test)], searched)
    write_file(options.out, text)
    print(text)


def split_queries(options: argparse.Namespace) -> tuple[BeirDataset, BeirDataset, BeirDataset]:
    """Queries to train on, queries held out of the same split, and test queries; drawn by a hash of their ids."""
    whole, test = (read_beir(options.data, split=split) for split in ("train", "test"))
    drawn = sorted(whole.qrels, key=lambda id: hashlib.sha256(id.encode()).digest())
    held, rest = drawn[: options.held_out], drawn[options.held_out :][: options.train_queries]
    return take(whole, rest), take(whole, held), take(test, list(test.qrels)[: options.test_queries])


def take(dataset: BeirDataset, ids: list[str]) -> BeirDataset:
    """A dataset of some of the queries."""
    return dataclasses.replace(
        dataset, queries={id: dataset.queries[id] for id in ids}, qrels={id: dataset.qrels[id] for id in ids}
    )


def make_chain(options: argparse.Namespace) -> NeuralSearchChain:
    """The model, in float32, with tfchain's default values."""
    read = TextEncoder.from_pretrained(options.model or find_bundled_model(), precision="float32", engine="tensorflow")
    return NeuralSearchChain(
        read.tokenizer.tokenizer,
        read.encoder,
        max_length=options.max_length,
        passages="truncate",
        engine="tensorflow",
    )


def make_options(subset: list[Document]) -> FitOptions:
    """Where trials mine their negatives, in case they do."""
    return FitOptions(mining=Mining(corpus=subset, relative_margin=0.05), progress=False)


def fit(
    options: argparse.Namespace,
    train: BeirDataset,
    validation: Validation,
    tuned: NeuralSearchChain | None,
    seed: int,
) -> NeuralSearchChain:
    """A chain trained with the default values, or with those of a search."""
    chain = make_chain(options)
    if tuned is not None:
        chain.hyperparameters, chain.fit_options = tuned.hyperparameters, tuned.fit_options
    chain.fit(train, validation=validation, seed=seed)
    return chain


def rank(chain: NeuralSearchChain, test: BeirDataset) -> dict[str, float]:
    """The metrics on the test queries, among all documents."""
    return {name: round(value, 4) for name, value in chain.evaluate(test, metrics=METRICS).items()}


def describe(
    options: argparse.Namespace,
    report: TuningReport,
    results: Mapping[str, list[dict[str, float]]],
    counts: list[int],
    seconds: float,
) -> str:
    """The text of TUNING.md."""
    machine = describe_machine()
    name = options.model.name if options.model else "The small English model that comes with tfchain"
    rows = [
        f"| {name} | " + " | ".join(" / ".join(f"{one[metric]:.4f}" for one in found) for metric in METRICS) + " |"
        for name, found in results.items()
    ]
    means = {name: statistics.mean(one["ndcg@10"] for one in found) for name, found in results.items()}
    importance = sorted(report.importance.items(), key=lambda one: -one[1])
    return "\n".join(
        [
            "# Tuning on SciFact",
            "",
            f"`{shlex.join(['python', 'benchmarks/tuning.py', *sys.argv[1:]])}`; {machine['processor']}, "
            f"{machine['cores']} cores, {machine['memory']}, load {machine['load']}.",
            "",
            f"{name}, {len(report.trials)} trials ({report.search['tuner']}, seed {report.search['seed']}) on "
            f"{counts[0]} training queries, ranked on {counts[1]} held out of the same split among "
            f"{options.documents} documents; {seconds / 60:.0f} minutes.",
            "",
            f"## On {counts[2]} test queries that no trial saw, among all documents",
            "",
            f"Seeds {', '.join(map(str, options.seeds))}. Both were trained on the queries of the trials, and end with "
            "the epoch that ranks the held-out ones best; default: tfchain's default values.",
            "",
            f"| values | {' | '.join(METRICS)} |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            f"Mean nDCG@10: default {means['default']:.4f}, best {means['best']:.4f} "
            f"({means['best'] - means['default']:+.4f}).",
            "",
            "## The trials",
            "",
            "```",
            str(report).rstrip(),
            "```",
            "",
            "What each explains of the variance of nDCG@10: "
            + ", ".join(f"{name} {value:.2f}" for name, value in importance)
            + ".",
            "",
        ]
    )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=HERE.parent.parent / "shared" / "data" / "scifact", help="SciFact's folder")
    add("--model", type=Path, help="a model folder; default: the small model that comes with tfchain")
    add("--trials", type=int, default=12, help="how many (%(default)s)")
    add("--tuner", choices=["random", "bayesian", "grid"], default="bayesian", help="which (%(default)s)")
    add("--seed", type=int, default=0, help="of the search (%(default)s)")
    add("--seeds", type=int, nargs="+", default=[1, 2], help="of the trainings that are compared (1 2)")
    add("--held-out", type=int, default=200, help="training queries that trials are ranked on (%(default)s)")
    add("--train-queries", type=int, help="the most queries to train on; default: all others")
    add("--test-queries", type=int, help="the most queries to test; default: all")
    add("--documents", type=int, default=1000, help="of the subset (%(default)s)")
    add("--max-length", type=int, default=256, help="tokens of a text (%(default)s)")
    add("--path", type=Path, help="a folder to keep the search in, and to go on from")
    add("--out", type=Path, default=HERE / "TUNING.md", help="the file to write (%(default)s)")
    return parser.parse_args()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
