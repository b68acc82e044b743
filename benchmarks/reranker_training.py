"""Trains the same cross-encoder on the same rows with tfchain and with sentence-transformers' trainer.

Run: .venv/bin/python benchmarks/reranker_training.py [--write] [--queries 2000] [--seeds 2] [--work DIR]
Questions of SQuAD's development set, each with its passage and three that MiniLM takes for it; the loss is LambdaLoss
(NDCG-Loss2++) in both. Questions of other articles are then ranked: ten passages each, those that MiniLM finds. Both
results are measured by the same code, list by list, so that the report has the standard error of their difference.
Takes ten minutes a seed and more on two cores; with `--work`, what is measured is kept there, and a run that was ended
goes on. Writes the second part of benchmarks/RERANKING.md when `--write` is given.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from material import HERE, describe_machine
from reranking import END, FILE, PEERS, SHARED_DATA
from scifact import find_minilm

from tfchain import Mining, NeuralSearchChain, Reranker
from tfchain.data.documents.beir import BeirDataset, read_beir
from tfchain.data.pairs.reading import Pairs
from tfchain.training.mining.mine import mine_negatives

TOKENS, CANDIDATES, TESTED = 64, 10, 600
OPTIONS: dict[str, Any] = {"batch_size": 4, "epochs": 1, "learning_rate": 5e-5, "warmup": 10}
NEGATIVES = 3


def main() -> None:
    """Reads the options, trains, measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write benchmarks/RERANKING.md")
    parser.add_argument("--peers", type=Path, default=PEERS, help="a Python with sentence-transformers")
    parser.add_argument("--queries", type=int, default=2000, help="training queries (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each (default: %(default)s)")
    parser.add_argument("--work", type=Path, help="a folder that keeps rows and results (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        rows, lists = kept(work / f"rows-{arguments.queries}.json", lambda: make_rows(arguments.queries))
        found = [("MiniLM's order", -1, [row["labels"].index(1) for row in lists], 0.0)]
        for seed in range(arguments.seeds):
            place = work / f"{len(rows)}-{seed}"
            place.mkdir(exist_ok=True)
            if not (place / "start").is_dir():
                Reranker(model=find_minilm(), max_length=TOKENS, seed=seed).save_pretrained(place / "start")
            for train in (train_theirs, train_ours):
                name = f"{train.__name__}.json"
                found.append(kept(place / name, lambda: train(place, rows, lists, seed, arguments.peers)))  # noqa: B023
                print(found[-1][:2], summarize(found[-1][2]), flush=True)
    report = write_report(found, len(rows))
    print(report)
    if arguments.write:
        before = FILE.read_text(encoding="utf-8").partition(END)[0] if FILE.is_file() else ""
        FILE.write_text(before + END + report, encoding="utf-8")


def kept(file: Path, make: Callable[[], Any]) -> Any:
    """Returns what a file of JSON holds; makes and writes it if there is none."""
    if not file.is_file():
        made = file.with_suffix(".part")
        made.write_text(json.dumps(make()), encoding="utf-8")
        made.rename(file)
    return json.loads(file.read_text(encoding="utf-8"))


def make_rows(num_queries: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns training rows, and lists of candidates of other articles' questions."""
    dataset = read_beir(SHARED_DATA / "squad_dev")
    chain = NeuralSearchChain.from_pretrained(find_minilm(), max_length=TOKENS, passages="truncate")
    chain.add(dataset.documents())
    texts = {document.id: document.full_text for document in chain.index}
    queries = list(dataset.queries)
    random = np.random.default_rng(0)
    passages = list(texts)  # article by article
    half = set(passages[: len(passages) // 2])

    def positive(query: str) -> str:
        return next(iter(dataset.qrels[query]))

    trained = [query for query in queries if positive(query) in half]
    tested = [query for query in queries if positive(query) not in half]
    trained = [trained[place] for place in random.permutation(len(trained))[:num_queries]]
    tested = [tested[place] for place in random.permutation(len(tested))[:TESTED]]
    pairs = Pairs(
        ([dataset.queries[query] for query in trained], [texts[positive(query)] for query in trained]),
    )
    mined = mine_negatives(
        chain.text_encoder, pairs, Mining(num_negatives=NEGATIVES, corpus=[texts[id] for id in half])
    )
    rows = [
        {"query": query, "documents": list(documents), "labels": [1] + [0] * NEGATIVES}
        for query, *documents in zip(*mined.columns, strict=True)
    ]
    return rows, list_candidates(chain, dataset, tested)


def list_candidates(chain: NeuralSearchChain, dataset: BeirDataset, queries: list[str]) -> list[dict[str, Any]]:
    """Returns what MiniLM finds for each query, with the labels; queries whose passage is not found are left out."""
    lists = []
    results = chain.search([dataset.queries[query] for query in queries], CANDIDATES)
    for query, result in zip(queries, results, strict=True):
        labels = [int(dataset.qrels[query].get(hit.id, 0) > 0) for hit in result.hits]
        if any(labels):
            documents = [f"{hit.title} {hit.text}".strip() for hit in result.hits]
            lists.append({"query": dataset.queries[query], "documents": documents, "labels": labels})
    return lists


def find_places(reranker: Reranker, lists: list[dict[str, Any]]) -> list[int]:
    """Returns the place of each query's passage in the reranker's order, counted from 0; each list has one."""
    places = []
    for row in lists:
        scores = reranker.score(row["query"], row["documents"])
        places.append(int(np.argsort(-scores, kind="stable").tolist().index(row["labels"].index(1))))
    return places


def to_ndcg(places: list[int]) -> np.ndarray:
    """Returns nDCG@10 of each list, of at most ten documents with one that answers."""
    gains: np.ndarray = 1 / np.log2(np.array(places) + 2)
    return gains


def summarize(places: list[int]) -> str:
    """Returns nDCG@10 and MRR@10 as two cells of a table."""
    return f"{np.mean(to_ndcg(places)):.4f} | {np.mean(1 / (np.array(places) + 1)):.4f}"


def train_theirs(
    work: Path, rows: list[dict[str, Any]], lists: list[dict[str, Any]], seed: int, peers: Path
) -> tuple[str, int, list[int], float]:
    """Trains with sentence-transformers' trainer, in its own environment."""
    (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [peers, HERE / "workers" / "train_cross_encoder.py", work / "start", work / "rows.jsonl", work / "theirs"]
    options = json.dumps({**OPTIONS, "seed": seed})
    done = subprocess.run(
        [*map(str, command), options],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1"},
    )
    seconds = json.loads(done.stdout.splitlines()[-1])["seconds"]
    trained = Reranker.from_pretrained(work / "theirs", engine="tensorflow")
    return "sentence-transformers", seed, find_places(trained, lists), seconds


def train_ours(
    work: Path, rows: list[dict[str, Any]], lists: list[dict[str, Any]], seed: int, peers: Path
) -> tuple[str, int, list[int], float]:
    """Trains with tfchain."""
    reranker = Reranker.from_pretrained(work / "start", engine="tensorflow")
    start = time.perf_counter()
    reranker.fit(rows, loss="lambda", **OPTIONS, seed=seed)
    seconds = time.perf_counter() - start
    return "tfchain", seed, find_places(reranker, lists), seconds


def write_report(found: list[tuple[str, int, list[int], float]], num_rows: int) -> str:
    """Returns the table in Markdown, and the difference with its standard error."""
    machine = ", ".join(f"{name}: {value}" for name, value in describe_machine().items())
    table = [
        f"| {name}{f', seed {seed}' * (seed >= 0)} | {summarize(places)} | {seconds:.0f} |"
        for name, seed, places, seconds in found
    ]
    of_seeds = [
        np.array([to_ndcg(places) for system, _, places, _ in found if system == name])
        for name in ("sentence-transformers", "tfchain")
    ]
    theirs, ours = (gains.mean(axis=0) for gains in of_seeds)
    spread = [f"{np.std(gains.mean(axis=1), ddof=1):.4f}" for gains in of_seeds] if len(of_seeds[0]) > 1 else []
    error = np.std(ours - theirs, ddof=1) / np.sqrt(len(ours))
    num_seeds = (len(found) - 1) // 2
    lines = [
        "",
        "## Training beside sentence-transformers' trainer",
        "",
        f"Printed by `benchmarks/reranker_training.py --write` on {datetime.now(UTC):%Y-%m-%d}: {num_rows} questions "
        f"of SQuAD's development set with their passage and {NEGATIVES} mined ones, LambdaLoss, {OPTIONS}, "
        f"{TOKENS} tokens a pair, MiniLM with a new head; tested on {len(ours)} questions of other articles with "
        f"{CANDIDATES} candidates each. Seconds are of a machine that other work used, too.",
        f"Machine: {machine}.",
        "",
        "| | nDCG@10 | MRR@10 | seconds |",
        "| --- | ---: | ---: | ---: |",
        *table,
        "",
        f"nDCG@10 of tfchain less that of sentence-transformers, means of {num_seeds} seeds: "
        f"{np.mean(ours - theirs):+.4f}, with a standard error of {error:.4f} over the lists."
        + (f" By seed nDCG@10 has a standard deviation of {spread[1]} (the other's: {spread[0]})." if spread else ""),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
