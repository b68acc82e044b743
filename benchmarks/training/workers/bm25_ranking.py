"""BM25 by bm25s, on tokens that were made elsewhere."""

import json
from pathlib import Path
from typing import Any

from channel import Channel, versions_of

CHANNEL = Channel()

import bm25s  # noqa: E402


def rank(tokens: str, k1: float, b: float, top_k: int, save: str) -> dict[str, Any]:
    """Ranks all documents for each query.

    Args:
        tokens: A JSON file with `documents` and `queries`, each a list of `[id, [token, …]]`.
        k1: How soon a word's repetition counts no more.
        b: How much a long document's words count less.
        top_k: Documents a query.
        save: Where the ranking goes, JSON: query id → list of `[document id, score]`.
    """
    content = json.loads(Path(tokens).read_text(encoding="utf-8"))
    documents = [words for _, words in content["documents"]]
    queries = [words for _, words in content["queries"]]
    index = bm25s.BM25(method="lucene", k1=k1, b=b)
    index.index(documents, show_progress=False)
    places, scores = index.retrieve(queries, k=min(top_k, len(documents)), show_progress=False)
    ids = [id for id, _ in content["documents"]]
    run = {
        query: [[ids[place], float(score)] for place, score in zip(row, values, strict=True)]
        for (query, _), row, values in zip(content["queries"], places.tolist(), scores.tolist(), strict=True)
    }
    Path(save).write_text(json.dumps(run), encoding="utf-8")
    return {"versions": versions_of("bm25s")}


if __name__ == "__main__":
    CHANNEL.serve({"rank": rank})
