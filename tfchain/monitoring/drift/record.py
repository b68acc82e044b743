"""Makes samples of queries and documents for a reference by asking the model that serves."""

from collections.abc import Callable, Sequence

import numpy as np

from tfchain.core.sampling import spread_evenly
from tfchain.core.signatures import EMBED, EMBED_DOCUMENT, SERVING_DEFAULT
from tfchain.monitoring.drift.reference import Origin, Sample
from tfchain.monitoring.served_model import ServedModel

BATCH_SIZE = 32
MOST_TEXTS = 2_000  # of a file, evenly spaced; more would not change what a window is compared with


def record_queries(
    model: ServedModel,
    texts: Sequence[str],
    *,
    origin: Origin = "queries",
    count_unknown: Callable[[Sequence[str]], np.ndarray] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Sample:
    """Returns a sample of queries: vectors, lengths in words, best scores and shares of unknown tokens.

    What the model cannot say is left out: scores of a model that only makes vectors, vectors of one that makes none.

    Args:
        model: The model.
        texts: The queries, or what stands in for them.
        origin: What the texts are. Default: `queries`.
        count_unknown: From texts to the share of unknown tokens in each. Default: not compared.
        progress: Called with the number of texts done since the last call. Default: nothing.
    """
    texts = spread_evenly(texts, MOST_TEXTS)
    signature, output = model.query_signature, model.answer_output
    vectors, scores, unknown = [], [], []
    for start in range(0, len(texts), BATCH_SIZE):
        batch = texts[start : start + BATCH_SIZE]
        if signature is not None:
            vectors.append(model.embed(batch, signature))
        if output is not None and "scores" in model.signatures[SERVING_DEFAULT].outputs:
            scores.append(np.asarray(model.predict({"text": list(batch)}, SERVING_DEFAULT)["scores"])[:, 0])
        if count_unknown is not None:
            unknown.append(count_unknown(batch))
        progress(len(batch))
    scalars = {"length": count_words(texts)}
    for name, values in (("score", scores), ("unknown", unknown)):
        if values:
            scalars[name] = np.concatenate(values).astype(np.float64)
    return Sample(np.concatenate(vectors) if vectors else None, scalars, origin)


def record_documents(
    model: ServedModel, texts: Sequence[str], *, progress: Callable[[int], None] = lambda _: None
) -> Sample:
    """Returns a sample of documents: vectors and lengths in words.

    Args:
        model: The model.
        texts: The documents, title and text in one.
        progress: Called with the number of texts done since the last call. Default: nothing.
    """
    texts = spread_evenly(texts, MOST_TEXTS)
    signature = next((name for name in (EMBED_DOCUMENT, EMBED) if name in model.signatures), None)
    vectors = []
    for start in range(0, len(texts), BATCH_SIZE):
        batch = texts[start : start + BATCH_SIZE]
        if signature is not None:
            vectors.append(model.embed(batch, signature))
        progress(len(batch))
    return Sample(np.concatenate(vectors) if vectors else None, {"length": count_words(texts)}, "documents")


def count_words(texts: Sequence[str]) -> np.ndarray:
    """Returns the number of words of each text, float64 `(texts,)`."""
    return np.array([len(text.split()) for text in texts], np.float64)
