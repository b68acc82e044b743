"""Recommendation on MovieLens small, each user's last movie held out, beside popularity, EASE, implicit's ALS and BPR.

Run: .venv/bin/python benchmarks/recommendation.py [--data ../shared/data/ml_latest_small] [--write]

All are asked for ten of the movies that a user has not rated, of all 9,742; each is tuned on the last but one movie of
each user, then trained on all but the last one. Ratings count as interactions, whatever their stars; ratings of a user
in the same second are in a random order. Then movies that nobody has rated: a tenth of them are left out of the
training, and added by their titles and genres. --write writes RECOMMENDATION.md, and keeps what is written by hand
below its mark.
"""

import argparse
import dataclasses
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from material import describe_machine
from scifact import find_minilm

from tfchain.chains.recommendation import RecommendationChain
from tfchain.core.atomic import write_file
from tfchain.data.interactions.interactions import Interactions
from tfchain.data.interactions.reading import read_interactions
from tfchain.data.interactions.splitting import leave_last_out
from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.tasks.recommendation.catalogue import Catalogue
from tfchain.tasks.recommendation.metrics import measure
from tfchain.tasks.recommendation.ranking import ask, rank_items

HERE = Path(__file__).parent
FILE = HERE / "RECOMMENDATION.md"
END = "<!-- the end of benchmarks/recommendation.py's part -->\n"
METRICS = ("ndcg@10", "hit_rate@10", "mrr@10", "coverage@10", "popularity@10")
RIDGES = (50.0, 100.0, 200.0, 400.0, 800.0)
RATES = (1e-3, 2e-3)
EPOCHS = 4
SEEDS = (0, 1, 2)
COLD_SHARE = 10  # one movie of so many
TOP_K = 10
PARTS = ("plain", "peers", "start", "mean", "transformer", "cold")


def measure_rows(ranked: np.ndarray, train: Interactions, held_out: Interactions) -> dict[str, float]:
    """The metrics of the items of each user."""
    users = np.flatnonzero(np.diff(held_out.starts))
    return measure(METRICS, ranked[users], [held_out.of_user(user) for user in users], train.popularity)


def rank_scores(scores: np.ndarray, train: Interactions) -> np.ndarray:
    """The ten best items of each user that the user has not taken."""
    scores = scores.copy()
    scores[train.user_rows, train.item_rows] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :TOP_K]


def score_ease(train: Interactions, ridge: float) -> np.ndarray:
    """EASE's scores in closed form, of all items for all users (Steck 2019), by Woodbury's identity."""
    taken = np.zeros((len(train.users), len(train.items)))
    taken[train.user_rows, train.item_rows] = 1
    solved = np.linalg.solve(taken @ taken.T + ridge * np.eye(len(taken)), taken)
    inverse = (taken - taken @ taken.T @ solved) / ridge  # taken times the inverse of the items' Gram matrix
    diagonal = (1 - np.einsum("ui,ui->i", taken, solved)) / ridge
    return taken - inverse / diagonal


def run_plain(train: Interactions, valid: Interactions, full: Interactions, test: Interactions) -> list[dict[str, Any]]:
    """The rows of popularity and EASE."""
    popular = [np.tile(part.popularity.astype("float64"), (len(part.users), 1)) for part in (train, full)]
    rows: list[dict[str, Any]] = [
        {
            "name": "popularity",
            "settings": "",
            "valid": measure_rows(rank_scores(popular[0], train), train, valid)["ndcg@10"],
            "metrics": [measure_rows(rank_scores(popular[1], full), full, test)],
            "seconds": 0.0,
        }
    ]
    tried = {r: measure_rows(rank_scores(score_ease(train, r), train), train, valid)["ndcg@10"] for r in RIDGES}
    ridge = max(tried, key=lambda value: tried[value])
    begin = time.perf_counter()
    scores = score_ease(full, ridge)
    seconds = time.perf_counter() - begin
    metrics = [measure_rows(rank_scores(scores, full), full, test)]
    settings = f"ridge {ridge:g} (best of {len(RIDGES)})"
    rows.append({"name": "EASE", "settings": settings, "valid": tried[ridge], "metrics": metrics, "seconds": seconds})
    return rows


def run_peers(
    python: Path, train: Interactions, valid: Interactions, full: Interactions, test: Interactions
) -> list[dict[str, Any]]:
    """The rows of ALS and BPR, by recommendation_peers.py."""
    named = (("train", train), ("valid", valid), ("full", full))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "splits.npz"
        np.savez(path, shape=[len(full.users), len(full.items)], **{name: to_pairs(part) for name, part in named})
        command = [str(python), str(HERE / "recommendation_peers.py"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = []
    for name, found in json.loads(done.stdout.splitlines()[-1]).items():
        settings = ", ".join(f"{key} {value:g}" for key, value in found["settings"].items())
        metrics = [measure_rows(np.array(ids), full, test) for ids in found["ranked"]]
        rows.append(
            {
                "name": f"implicit's {name}",
                "settings": f"{settings} (best of {found['tried']})",
                "valid": found["valid"],
                "metrics": metrics,
                "seconds": found["seconds"],
            }
        )
    return rows


def to_pairs(interactions: Interactions) -> np.ndarray:
    """Rows of a user and an item."""
    return np.stack([interactions.user_rows, interactions.item_rows], axis=1)


def make_chain(history: str, rate: float, epochs: int, seed: int = 0) -> RecommendationChain:
    """A chain that reads ids alone, as its peers do."""
    config = RecommendationConfig(history=history, item_features=())  # type: ignore[arg-type]
    return RecommendationChain(config, learning_rate=rate, epochs=epochs, seed=seed)


def start_chain(chain: RecommendationChain, train: Interactions) -> None:
    """Gives a chain the weights that a training begins with."""
    training = chain.task.prepare(chain.model, None, train, chain.fit_options)
    chain._live.adopt(training.model, training.state)


def run_start(train: Interactions, valid: Interactions, full: Interactions, test: Interactions) -> dict[str, Any]:
    """The row of the closed form alone."""
    chain = make_chain("mean", 1e-3, 1)
    begin = time.perf_counter()
    start_chain(chain, train)
    seconds = time.perf_counter() - begin
    valid_score = chain.evaluate(valid)["ndcg@10"]
    start_chain(chain, full)
    return {
        "name": "RecommendationChain, closed form alone",
        "settings": "dim 128, ridge 100",
        "valid": valid_score,
        "metrics": [chain.evaluate(test, metrics=METRICS)],
        "seconds": seconds,
    }


def run_ours(
    history: str, train: Interactions, valid: Interactions, full: Interactions, test: Interactions
) -> dict[str, Any]:
    """The row of an encoder of histories: settings chosen on the validation split, then a training for each seed."""
    found = []
    for rate in RATES:
        chain = make_chain(history, rate, EPOCHS)
        scores = chain.fit(train, validation=valid, strategy="one").history["ndcg@10"]
        print(history, rate, [round(score, 4) for score in scores], file=sys.stderr, flush=True)
        found += [(score, rate, epoch) for epoch, score in enumerate(scores, start=1)]
    score, rate, epochs = max(found)
    results, seconds = [], []
    for seed in SEEDS:
        chain = make_chain(history, rate, epochs, seed)
        begin = time.perf_counter()
        chain.fit(full, strategy="one")
        seconds.append(time.perf_counter() - begin)
        results.append(chain.evaluate(test, metrics=METRICS))
    return {
        "name": f"RecommendationChain, history='{history}'",
        "settings": f"learning rate {rate:g}, {epochs} epochs (best of {len(found)})",
        "valid": score,
        "metrics": results,
        "seconds": float(np.median(seconds)),
    }


def run_cold(data: Interactions) -> list[Any]:
    """Recall@10 of movies that nobody had rated in the training: candidates, by random choice, by their titles."""
    random = np.random.default_rng(0).permutation(len(data.items))
    cold = np.sort(random[: len(data.items) // COLD_SHARE])
    is_cold = np.zeros(len(data.items), dtype=bool)
    is_cold[cold] = True
    places = np.cumsum(~is_cold) - 1
    warm = data.select(~is_cold[data.item_rows])
    train = dataclasses.replace(
        warm, items=data.items.take(np.flatnonzero(~is_cold).tolist()), item_rows=places[warm.item_rows].astype("int32")
    )
    held_out = data.select(is_cold[data.item_rows])
    chain = RecommendationChain(RecommendationConfig(history="mean"), text_encoder=find_minilm(), epochs=1)
    chain.fit(train, strategy="one")
    chain.add_items([{"movieId": data.items.ids[row], **data.items.row(row)} for row in cold])
    catalogue: Catalogue = chain.catalogue
    allowed = np.zeros(len(catalogue.items), dtype=bool)
    allowed[[catalogue.item_rows[data.items.ids[row]] for row in cold]] = True
    users = np.flatnonzero(np.diff(held_out.starts))
    names = [data.users.ids[user] for user in users]
    wanted = [
        {catalogue.item_rows[data.items.ids[row]] for row in held_out.of_user(user).tolist()} for user in users
    ]  # fmt: skip
    rows = []
    for name, mask in (("the movies that nobody had rated", allowed), ("all movies that the user has not rated", None)):
        ranked = rank_items(chain.model, catalogue, ask(catalogue, names), top_k=TOP_K, allowed=mask).rows
        recall = [len(set(row.tolist()) & right) / len(right) for row, right in zip(ranked, wanted, strict=True)]
        counts = [
            int(allowed.sum()) if mask is not None else len(catalogue.items) - len(catalogue.history(user))
            for user in names
        ]
        rows.append((name, float(np.mean([TOP_K / count for count in counts])), float(np.mean(recall))))
    return rows


def write_report(rows: list[dict[str, Any]], cold: list[Any], command: str) -> str:
    """The report as Markdown."""
    machine = describe_machine()
    lines = [
        "# Recommendation",
        "",
        f"Figures of `benchmarks/recommendation.py` on MovieLens small (100,836 ratings of 9,742 movies by 610 users), "
        f"{time.strftime('%Y-%m-%d')}, {machine['processor']}, {machine['cores']} cores that other work used as "
        f"well (load {machine['load']}).",
        "",
        "Each user's last movie is held out; ten of all movies that the user has not rated are asked for. All methods "
        "read who rated what, and no titles; ours alone reads in which order. Each was tuned on the last but one movie "
        "of each user, then trained with it. Where numbers are drawn at random, figures are means of three seeds, and "
        "nDCG's smallest and largest value follow.",
        "",
        "| method | settings, chosen on the validation split | nDCG@10 there | nDCG@10 | hit rate@10 | MRR@10 "
        "| coverage@10 | popularity@10 | seconds to train |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        means = {name: np.mean([found[name] for found in row["metrics"]]) for name in METRICS}
        values = [found["ndcg@10"] for found in row["metrics"]]
        span = "" if len(values) == 1 else f" ({min(values):.4f} to {max(values):.4f})"
        cells = [f"{means['ndcg@10']:.4f}{span}", *(f"{means[name]:.4f}" for name in METRICS[1:])]
        lines.append(
            f"| {row['name']} | {row['settings']} | {row['valid']:.4f} | {' | '.join(cells)} | {row['seconds']:.1f} |"
        )
    lines += [
        "",
        "Popularity@10 is the mean share of movies that are less popular than a recommended one.",
        "",
        "A tenth of the movies (974), and all their ratings, are left out of another training, with the mean of the "
        "history, titles through all-MiniLM-L6-v2 and genres, one epoch, other settings as they come. Then they are "
        "added with `add_items`, without training. Recall@10 of those that each user has rated:",
        "",
        "| ten out of | at random | by titles and genres | times |",
        "| --- | --- | --- | --- |",
        *(f"| {name} | {chance:.4f} | {recall:.4f} | {recall / chance:.1f} |" for name, chance, recall in cold),
        "",
        f"`{command}`",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = HERE.parent.parent / "shared" / "data" / "ml_latest_small"
    parser.add_argument("--data", type=Path, default=shared, help="MovieLens' folder")
    parser.add_argument("--peers", type=Path, default=HERE.parent / ".venv-peers/bin/python", help="has implicit")
    parser.add_argument("--work", type=Path, help="keeps what each part found; what is there is not computed again")
    parser.add_argument("--part", choices=PARTS, help="compute this part alone, in --work, such as beside the others")
    parser.add_argument("--write", action="store_true", help="write RECOMMENDATION.md")
    options = parser.parse_args()
    data = read_interactions(options.data)
    full, test = leave_last_out(data)
    train, valid = leave_last_out(full)
    splits = (train, valid, full, test)
    parts = {
        "plain": lambda: run_plain(*splits),
        "peers": lambda: run_peers(options.peers, *splits),
        "start": lambda: [run_start(*splits)],
        "mean": lambda: [run_ours("mean", *splits)],
        "transformer": lambda: [run_ours("transformer", *splits)],
        "cold": lambda: run_cold(data),
    }
    found = {}
    for name in [options.part] if options.part else PARTS:
        file = None if options.work is None else options.work / f"{name}.json"
        if file is None or not file.is_file():
            found[name] = parts[name]()
            if file is not None:
                write_file(file, json.dumps(found[name]))
        else:
            found[name] = json.loads(file.read_text())
    if options.part:
        return
    rows = [row for name in PARTS[:-1] for row in found[name]]
    command = shlex.join([".venv/bin/python", "benchmarks/recommendation.py", *sys.argv[1:]])
    report = write_report(rows, found["cold"], command)
    print(report)
    if options.write:
        rest = FILE.read_text(encoding="utf-8").partition(END)[2] if FILE.is_file() else ""
        write_file(FILE, report + END + rest)


if __name__ == "__main__":
    main()
