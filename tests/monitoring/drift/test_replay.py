"""Texts are put through a monitor in their order, after the canaries."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfchain.monitoring.canaries.canary import CanaryQuery
from tfchain.monitoring.drift import record, replay
from tfchain.monitoring.drift.config import DriftConfig
from tfchain.monitoring.drift.monitor import DriftMonitor
from tfchain.monitoring.drift.record import record_documents, record_queries
from tfchain.monitoring.drift.reference import make_reference
from tfchain.monitoring.served_model import ServedModel, SignatureNames

CONFIG = DriftConfig(window=20, stride=20, horizon=100, num_runs=30)
TEXT = frozenset({"text"})


def predict(inputs: Mapping[str, Any], signature: str) -> Mapping[str, np.ndarray]:
    """Vectors are the texts' first two letters; scores are their lengths."""
    texts = inputs["text"]
    if signature == "serving_default":
        return {"ids": np.array([["a"]] * len(texts)), "scores": np.array([[len(text), 0] for text in texts])}
    shift = 100.0 if signature == "embed_document" else 0.0
    return {"embedding": np.array([[ord(text[0]) + shift, ord(text[1])] for text in texts], np.float32)}


MODEL = ServedModel(
    predict,
    {
        "serving_default": SignatureNames(TEXT, frozenset({"ids", "scores"})),
        **dict.fromkeys(("embed", "embed_query", "embed_document"), SignatureNames(TEXT, frozenset({"embedding"}))),
    },
)


def test_a_sample_has_vectors_lengths_scores_and_unknown_tokens() -> None:
    sample = record_queries(MODEL, ["ab cd", "b" * 3], count_unknown=lambda texts: np.array([0.5] * len(texts)))

    assert sample.vectors is not None
    assert sample.vectors.tolist() == [[97, 98], [98, 98]]
    assert {name: values.tolist() for name, values in sample.scalars.items()} == {
        "length": [2, 1],
        "score": [5, 3],
        "unknown": [0.5, 0.5],
    }
    documents = record_documents(MODEL, ["ab"])
    assert documents.vectors is not None
    assert (documents.vectors.tolist(), documents.origin) == ([[197, 98]], "documents")


def test_many_texts_are_a_spread_of_them(monkeypatch: object) -> None:
    texts = [f"{chr(97 + row % 26)}{row:05d}" for row in range(record.MOST_TEXTS * 2)]

    assert len(record_queries(MODEL, texts)) == record.MOST_TEXTS


def test_a_replay_finds_drift_where_it_is(monkeypatch: Any) -> None:
    monkeypatch.setattr(replay, "AT_ONCE", 30)
    known, new = [f"{letter}{letter} x" for letter in "abcde"] * 8, ["zz top of the hills"] * 40
    reference = make_reference(record_queries(MODEL, known), record_documents(MODEL, known), config=CONFIG)

    looks = replay.replay(DriftMonitor(reference), MODEL, queries=known + new, documents=known)

    assert [look.position for look in looks["queries"] if look.is_drift] == [60, 80]
    assert [look.is_drift for look in looks["documents"]] == [False, False]


def test_a_replay_asks_the_canaries_first() -> None:
    texts = [f"{letter}{letter} x" for letter in "abcde"] * 8
    monitor = DriftMonitor(make_reference(record_queries(MODEL, texts), config=CONFIG))

    looks = replay.replay(monitor, MODEL, queries=texts, canaries=[CanaryQuery("ab", vector=np.array([-1.0, 5]))])

    assert looks["queries"] == []
    assert monitor.report().causes == ("model",)
