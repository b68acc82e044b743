"""Judges an exported version's search: its own answers, or rankings by its vectors if it holds no documents."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.judgement import AskedVersion, Judge, Judgement, Question
from tfchain.core.signatures import EMBED, EMBED_DOCUMENT, EMBED_QUERY
from tfchain.data.documents.beir import BeirDataset
from tfchain.tasks.ranking_metrics import largest_cutoff, ranking_values
from tfchain.tasks.search.search_lookup import SEARCH

BATCH = 32
NUM_PROBES = 50


def make_search_judge(dataset: BeirDataset, *, metric: str) -> Judge:
    """Returns a function from a version to the metric of each judged query.

    A version that holds documents is asked as its users ask it. One that only embeds texts ranks the dataset's
    documents by its vectors, each cut off at the model's maximum length.

    Args:
        dataset: Queries and judgements.
        metric: The name of a ranking metric.

    Raises:
        InputError: if the metric is unknown.
    """
    cutoff = largest_cutoff([metric])
    queries = {query: text for query, text in dataset.queries.items() if dataset.qrels.get(query)}

    def judge(version: AskedVersion) -> Judgement:
        texts = list(queries.values())
        if SEARCH in version.signatures:
            signature = SEARCH
            ids = _search(version, texts, cutoff, metric)
        else:
            signature, ids = _rank(version, texts, dataset, cutoff)
        run = {
            query: [(id, float(-place)) for place, id in enumerate(found)]
            for query, found in zip(queries, ids, strict=True)
        }
        values = ranking_values(run, dataset.qrels, [metric])[metric]
        step = max(1, len(texts) // NUM_PROBES)
        probes = [Question(signature, {"text": _to_array([text])}) for text in texts[::step][:NUM_PROBES]]
        ordered = np.array([values[query] for query in queries], np.float64)
        return Judgement(metric, ordered, rankings=[found[:100] for found in ids], probes=probes)

    return judge


def _search(version: AskedVersion, texts: Sequence[str], cutoff: int | None, metric: str) -> list[list[str]]:
    """Returns the ids that the version finds for each query."""
    found: list[list[str]] = []
    for start in range(0, len(texts), BATCH):
        answer = version.ask(Question(SEARCH, {"text": _to_array(texts[start : start + BATCH])}))
        found += [[id.decode("utf-8", "replace") for id in row if id] for row in answer["ids"].tolist()]
    num_hits, num_documents = len(found[0]), int(version.description.get("documents", 0))
    if num_hits < min(cutoff or num_documents, num_documents):
        raise InputError(
            f"The metric needs {cutoff or num_documents} hits of the version. Received: {metric} of a version that "
            f"gives {num_hits}. Use a metric up to @{num_hits}, or export with a larger `top_k`."
        )
    return found


def _rank(
    version: AskedVersion, texts: Sequence[str], dataset: BeirDataset, cutoff: int | None
) -> tuple[str, list[list[str]]]:
    """Returns the signature of queries, and the dataset's documents ranked for each query by the version's vectors."""
    by_query = EMBED_QUERY if EMBED_QUERY in version.signatures else EMBED
    by_document = EMBED_DOCUMENT if EMBED_DOCUMENT in version.signatures else EMBED
    documents = [] if dataset.corpus is None else list(dataset.documents())
    if not documents:
        raise InputError(
            "A version without documents ranks those of the evaluation set. Received: an evaluation set without any. "
            "Give one with a corpus, or export the version with documents."
        )
    is_cosine = _describe(version).get("similarity", "cosine") == "cosine"
    held = _embed(version, by_document, [document.full_text for document in documents], is_cosine=is_cosine)
    asked = _embed(version, by_query, texts, is_cosine=is_cosine)
    ids = np.array([document.id for document in documents], dtype=object)
    top = min(cutoff or len(ids), len(ids))
    order = np.argsort(-(asked @ held.T), axis=1, kind="stable")[:, :top]
    return by_query, [ids[row].tolist() for row in order]


def _embed(version: AskedVersion, signature: str, texts: Sequence[str], *, is_cosine: bool) -> np.ndarray:
    """Returns the vectors of texts, float32 `(texts, dim)`; texts of similar length go together, as padding costs."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    pieces = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    rows: dict[int, np.ndarray] = {}
    for places in pieces:
        answer = version.ask(Question(signature, {"text": _to_array([texts[place] for place in places])}))
        rows.update(zip(places, answer["embedding"], strict=True))
    vectors = np.stack([rows[place] for place in range(len(texts))])
    if is_cosine:
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors


def _describe(version: AskedVersion) -> Mapping[str, object]:
    described = version.description.get("text_model", {})
    return described if isinstance(described, Mapping) else {}


def _to_array(texts: Sequence[str]) -> np.ndarray:
    return np.array([text.encode("utf-8", "replace") for text in texts], dtype=object)
