"""A classification without TensorFlow: the graph's answers from the same logits, and a version's from texts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.models.engines.test_native_encoder import make_encoder
from tests.tiny_model import save_tiny_model
from tfchain.models import native_library
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.classification.labels import Labels
from tfchain.tasks.classification.native_classification import load_classification
from tfchain.tasks.classification.task import ClassificationTask
from tfchain.tasks.native_version import load_answers

NAMES = ("cat", "狗", "stock")


def settle(labels: dict[str, Any], top_k: int = 2) -> dict[str, Any]:
    return {"top_k": top_k, "labels": labels}


def test_the_best_labels_of_logits() -> None:
    answer = load_classification(Path(), settle({"names": NAMES}))
    labels, scores = answer(np.array([[0, np.log(2), np.log(5)], [1, 1, 0]], "float32"), ["labels", "scores"], {})
    assert labels.tolist() == [[b"stock", "狗".encode()], [b"cat", "狗".encode()]]  # equal scores by their order
    assert scores.dtype == np.float32
    assert np.allclose(scores, [[5 / 8, 2 / 8], [0.42231882, 0.42231882]])


def test_temperature_and_thresholds() -> None:
    values = {"names": NAMES, "multi_label": True, "temperature": 2.0, "thresholds": (0.5, 0.9, 0.5)}
    answer = load_classification(Path(), settle(values, top_k=3))
    labels, scores, chosen = answer(np.array([[0.0, 4.0, -4.0]], "float32"), ["labels", "scores", "chosen"], {})
    assert labels.tolist() == [["狗".encode(), b"cat", b"stock"]]
    assert np.allclose(scores, [[0.88079708, 0.5, 0.11920292]])
    assert chosen.tolist() == [[False, True, False]]


@pytest.mark.skipif(native_library.find_obstacle() is not None, reason=str(native_library.find_obstacle()))
@pytest.mark.parametrize("paired", [False, True])
def test_a_version_classifies_texts_and_pairs_as_python_does(paired: bool, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model", seed=5, num_layers=1)
    tokenizer = TextEncoder.from_pretrained(tmp_path / "model").tokenizer.tokenizer
    head = DenseConfig(in_dim=64, out_dim=3, activation="linear")
    encoder = make_encoder(transformer={"vocabulary_size": len(tokenizer)}, head=head)
    text_encoder = TextEncoder(tokenizer, encoder, precision="int8", engine="native", max_length=24)
    labels, texts = Labels(NAMES, paired=paired), ["the cat", "", "你好", "a dog sleeps"]
    graph: Any = SimpleNamespace(texts=texts)
    native = ClassificationTask().make_native(text_encoder, labels, graph, {"top_k": 2})
    assert native is not None
    (tmp_path / "native").mkdir()
    native.write(tmp_path / "native")
    answers = load_answers(tmp_path / "native")
    assert sorted(answers) == ["classify_text", "embed", "serving_default", "tokenize"]
    inputs = {"text": np.array([text.encode() for text in texts], dtype=object)}
    asked = texts
    if paired:
        inputs["text_pair"] = inputs["text"][::-1].copy()
        asked = [f"{first} [SEP] {second}" for first, second in zip(texts, texts[::-1], strict=True)]
    found = answers["serving_default"](inputs, ["labels", "scores"], lambda: None)
    assert found is not None
    probabilities = labels.to_probabilities(text_encoder.encode(asked))
    order = np.argsort(-probabilities, axis=1)[:, :2]
    assert found[0].tolist() == [[NAMES[place].encode() for place in places] for places in order]
    assert np.allclose(found[1], np.take_along_axis(probabilities, order, axis=1), atol=1e-6)
    for proof in native.proofs:
        given = answers[proof.signature](proof.inputs, list(proof.outputs), lambda: None)
        assert given is not None
        assert [values.shape for values in given] == [values.shape for values in proof.outputs.values()]
