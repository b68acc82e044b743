"""Trains the same cross-encoder on the same rows with tfchain and with sentence-transformers' trainer.

Run: .venv/bin/python benchmarks/reranker_training.py [--write] [--queries 160] [--seeds 2]
Questions of SQuAD's development set, each with its passage and three that MiniLM takes for it; the loss is LambdaLoss
(NDCG-Loss2++) in both. Questions of other articles are then ranked: ten passages each, those that MiniLM finds. Both
results are measured by the same code. Takes some minutes on two cores; writes the second part of
benchmarks/RERANKING.md when `--write` is given.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
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

TOKENS, CANDIDATES, TESTED = 64, 10, 200
OPTIONS: dict[str, Any] = {"batch_size": 4, "epochs": 1, "learning_rate": 5e-5, "warmup": 10}
NEGATIVES = 3


def main() -> None:
    """Reads the options, trains, measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write benchmarks/RERANKING.md")
    parser.add_argument("--peers", type=Path, default=PEERS, help="a Python with sentence-transformers")
    parser.add_argument("--queries", type=int, default=160, help="training queries (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each (default: %(default)s)")
    arguments = parser.parse_args()
    rows, lists = make_rows(arguments.queries)
    found: list[tuple[str, dict[str, float], float]] = [("MiniLM's order", evaluate_order(lists), 0.0)]
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            work = Path(folder) / str(seed)
            work.mkdir()
            start = Reranker(model=find_minilm(), max_length=TOKENS, seed=seed)
            start.save_pretrained(work / "start")
            found.append(train_theirs(work, rows, lists, seed, arguments.peers))
            found.append(train_ours(work, rows, lists, seed))
    report = write_report(found, len(rows))
    print(report)
    if arguments.write:
        before = FILE.read_text(encoding="utf-8").partition(END)[0] if FILE.is_file() else ""
        FILE.write_text(before + END + report, encoding="utf-8")


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


def evaluate_order(lists: list[dict[str, Any]]) -> dict[str, float]:
    """Returns the metrics of the lists as they are: a positive at place p, counted from 0, gives 1 / log2(p + 2)."""
    places = np.array([row["labels"].index(1) for row in lists])
    return {
        "ndcg@10": float(np.mean(np.where(places < 10, 1 / np.log2(places + 2), 0))),
        "mrr@10": float(np.mean(np.where(places < 10, 1 / (places + 1), 0))),
    }


def train_theirs(
    work: Path, rows: list[dict[str, Any]], lists: list[dict[str, Any]], seed: int, peers: Path
) -> tuple[str, dict[str, float], float]:
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
    measured = Reranker.from_pretrained(work / "theirs", engine="tensorflow").evaluate(lists)
    return f"sentence-transformers, seed {seed}", measured, seconds


def train_ours(
    work: Path, rows: list[dict[str, Any]], lists: list[dict[str, Any]], seed: int
) -> tuple[str, dict[str, float], float]:
    """Trains with tfchain."""
    reranker = Reranker.from_pretrained(work / "start", engine="tensorflow")
    start = time.perf_counter()
    reranker.fit(rows, loss="lambda", **OPTIONS, seed=seed)
    seconds = time.perf_counter() - start
    return f"tfchain, seed {seed}", reranker.evaluate(lists), seconds


def write_report(found: list[tuple[str, dict[str, float], float]], num_rows: int) -> str:
    """Returns the table in Markdown."""
    machine = ", ".join(f"{name}: {value}" for name, value in describe_machine().items())
    table = [f"| {name} | {m['ndcg@10']:.4f} | {m['mrr@10']:.4f} | {seconds:.0f} |" for name, m, seconds in found]
    lines = [
        "",
        "## Training beside sentence-transformers' trainer",
        "",
        f"Printed by `benchmarks/reranker_training.py --write` on {datetime.now(UTC):%Y-%m-%d}: {num_rows} questions "
        f"of SQuAD's development set with their passage and {NEGATIVES} mined ones, LambdaLoss, {OPTIONS}, "
        f"{TOKENS} tokens a pair, MiniLM with a new head; tested on up to {TESTED} questions of other articles with "
        f"{CANDIDATES} candidates each. Seconds are of a machine that other work used, too.",
        f"Machine: {machine}.",
        "",
        "| | nDCG@10 | MRR@10 | seconds |",
        "| --- | ---: | ---: | ---: |",
        *table,
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
