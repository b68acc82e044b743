"""The peers of benchmarks/recommendation.py: ALS and BPR of the package implicit, tuned on a validation split.

Run by recommendation.py with the interpreter of .venv-peers: PYTHON recommendation_peers.py SPLITS.npz
Prints JSON: for each method the settings that were best on the validation split, and its items on the test split.
"""

import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix

GRIDS: dict[str, tuple[Any, dict[str, list[Any]]]] = {
    "ALS": (
        AlternatingLeastSquares,
        {"factors": [16, 32, 64, 128], "regularization": [0.01, 0.1, 1.0], "alpha": [1, 5, 20], "iterations": [15]},
    ),
    "BPR": (
        BayesianPersonalizedRanking,
        {
            "factors": [16, 32, 64, 128],
            "regularization": [0.001, 0.01, 0.1],
            "learning_rate": [0.01, 0.05],
            "iterations": [50, 100, 200],
        },
    ),
}
SEEDS = (0, 1, 2)


def to_matrix(pairs: np.ndarray, shape: tuple[int, int]) -> Any:
    """Rows of a user and an item as a sparse matrix of ones."""
    return csr_matrix((np.ones(len(pairs), "float32"), (pairs[:, 0], pairs[:, 1])), shape=shape)


def rank(kind: Any, values: dict[str, Any], matrix: Any, seed: int) -> tuple[np.ndarray, float]:
    """The ten items of each user, without those of the matrix; and the seconds of the training."""
    start = time.perf_counter()
    model = kind(**values, random_state=seed, num_threads=1)
    model.fit(matrix, show_progress=False)
    seconds = time.perf_counter() - start
    ids, _ = model.recommend(np.arange(matrix.shape[0]), matrix, N=10, filter_already_liked_items=True)
    return ids, seconds


def ndcg(ids: np.ndarray, held_out: np.ndarray) -> float:
    """nDCG@10 with one item a user: 1 / log2(rank + 1)."""
    values = [1 / np.log2(place[0] + 2) for user, item in held_out if len(place := np.flatnonzero(ids[user] == item))]
    return float(sum(values) / len(held_out))


def main() -> None:
    splits = np.load(Path(sys.argv[1]))
    shape = (int(splits["shape"][0]), int(splits["shape"][1]))
    train, full = (to_matrix(splits[name], shape) for name in ("train", "full"))
    found = {}
    for name, (kind, grid) in GRIDS.items():
        settings = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
        scores = [ndcg(rank(kind, values, train, 0)[0], splits["valid"]) for values in settings]
        best = settings[int(np.argmax(scores))]
        ranked = [rank(kind, best, full, seed) for seed in SEEDS]
        found[name] = {
            "settings": best,
            "tried": len(settings),
            "valid": max(scores),
            "ranked": [ids.tolist() for ids, _ in ranked],
            "seconds": float(np.median([seconds for _, seconds in ranked])),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
