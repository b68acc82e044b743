"""Which texts a Predict asked and what it answered, as far as its signature shows it."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.signatures import EMBED_DOCUMENT, EMBED_QUERY, TOKENIZE, TOKENIZE_DOCUMENT, TOKENIZE_QUERY
from tfchain.deployment.repository import read_description
from tfchain.deployment.server.manager import Lease
from tfchain.deployment.server.observing.answered import (
    CLASSIFICATION,
    EMBED,
    NOBODY,
    RERANKING,
    SEARCH,
    Answered,
    Asker,
)
from tfchain.deployment.server.observing.watch import Watch
from tfchain.deployment.server.predict import Prediction

_PURPOSES = {EMBED_QUERY: "query", EMBED_DOCUMENT: "document"}
_UNSEEN = {TOKENIZE, TOKENIZE_QUERY, TOKENIZE_DOCUMENT}
_ASKED = ("text", "question")  # the inputs that are a question; others beside them are what it is asked of
_WORDS = ("answers", "translation")  # the outputs that answer in words, which are not logged


def to_answered(lease: Lease, prediction: Prediction, seconds: float, asker: Asker = NOBODY) -> Answered | None:
    """Returns the texts of a prediction with their answers; None if its signature takes no texts.

    The texts are the input `text` or `question`, or the only input of strings, unless these are a picture's bytes. The
    answer is known by its outputs: `ids` and `scores` of a search, `labels` and `scores` of a classification, `output`
    of a reranking, `embedding` of an encoder, `answers` or `translation` in words. What asks for a user, such as a
    recommendation, is no text.

    Args:
        lease: The version that answered.
        prediction: What it was asked and answered.
        seconds: How long the request took.
        asker: What the client says of itself. Default: nothing.
    """
    texts = None if prediction.signature_name in _UNSEEN else _find_texts(prediction)
    if texts is None:
        return None
    outputs, number = prediction.outputs, len(texts)
    rows = {name: array for name, array in outputs.items() if array.ndim >= 1 and len(array) == number}
    answered = Answered(lease.name, lease.version, "", texts, seconds, (), asker=asker)
    answered.purpose = _PURPOSES.get(prediction.signature_name, "")
    if "ids" in rows:
        answered.task, answered.purpose = SEARCH, "query"
        answered.ids, answered.scores = rows["ids"], rows.get("scores", ())
    elif "labels" in rows:
        answered.task, answered.labels, answered.scores = CLASSIFICATION, rows["labels"], rows.get("scores", ())
    elif "text_pair" in prediction.inputs and "output" in rows:
        answered.task, answered.purpose = RERANKING, "query"
        answered.texts, answered.scores = _join_pairs(texts, rows["output"])
    elif "embedding" in rows and rows["embedding"].ndim == 2:
        answered.task, answered.vectors = EMBED, rows["embedding"]
    elif any(name in rows for name in _WORDS):
        answered.task = _read_task(lease.path) or prediction.signature_name
        answered.scores = np.reshape(rows["scores"], (number, -1)) if "scores" in rows else ()
    else:
        return None
    answered.query_ids = asker.make_ids(len(answered.texts))
    return answered


def observe_prediction(
    watch: Watch, lease: Lease, prediction: Prediction, seconds: float, headers: Mapping[str, Any]
) -> None:
    """Leaves a prediction for the observer, if it is chosen and asks texts.

    Args:
        watch: Takes it.
        lease: The version that answered.
        prediction: What it was asked and answered.
        seconds: How long the request took.
        headers: The request's headers, by lower-case name, or a call's metadata.
    """
    if watch.observes():
        answered = to_answered(lease, prediction, seconds, Asker.of_headers(headers))
        if answered is not None:
            watch.put(answered)


def _find_texts(prediction: Prediction) -> Sequence[bytes] | None:
    strings = {name: array for name, array in prediction.inputs.items() if array.dtype == object}
    found = next((strings[name] for name in _ASKED if name in strings), None)
    if found is None and len(strings) == 1:
        (found,) = strings.values()
        if not all(map(_is_text, found.ravel().tolist())):
            return None
    return found.tolist() if found is not None and found.ndim == 1 and found.size else None


def _is_text(value: str | bytes) -> bool:
    """Whether a string is a text, and not the bytes of a picture or of an example."""
    if isinstance(value, str):
        return True
    try:
        return "\0" not in value.decode("utf-8")
    except UnicodeDecodeError:
        return False


@functools.lru_cache(maxsize=64)
def _read_task(version: Path) -> str:
    return str(read_description(version).get("task", ""))


def _join_pairs(texts: Sequence[bytes], outputs: np.ndarray) -> tuple[list[bytes], list[list[float]]]:
    """Returns each query once, with the scores of its texts, best first."""
    found: dict[bytes, list[float]] = {}
    for text, output in zip(texts, outputs.reshape(len(texts), -1)[:, 0].tolist(), strict=True):
        found.setdefault(text, []).append(output)
    return list(found), [sorted(scores, reverse=True) for scores in found.values()]
