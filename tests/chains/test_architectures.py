"""Chains with what newer encoders compute: trained, exported and served from stock ops, saved again."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.models.weights.test_layer_pooling import make_mean
from tfchain import NeuralSearchChain
from tfchain.models.encoders import attend
from tfchain.models.encoders.general import shared_inputs

FOLDER = Path(__file__).parents[1] / "parity" / "fixtures" / "nomic_bert"
PAIRS = [("merge two lists", "heapq.merge joins sorted lists"), ("a dataset", "rows and columns of numbers")]


@pytest.mark.usefixtures("eager")
def test_it_trains_and_its_version_computes_long_texts_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (attend, shared_inputs):
        monkeypatch.setattr(module, "LONG", 16)
    monkeypatch.setattr(attend, "BLOCK", 9)
    chain = NeuralSearchChain.from_pretrained(FOLDER, engine="tensorflow", max_length=40)
    before = chain.encode("a dataset")
    chain.fit(PAIRS, epochs=1, batch_size=2, learning_rate=1e-3)
    assert 1e-4 < np.abs(chain.encode("a dataset") - before).max() < 1
    chain.add([text for _, text in PAIRS])

    version = tf.saved_model.load(str(chain.export(tmp_path / "search")))
    texts = ["a dataset", "the quick brown fox jumps over the lazy dog " * 3]
    found = version.signatures["embed"](text=tf.constant(texts))["embedding"]
    np.testing.assert_allclose(found, chain.encode(texts), atol=1e-5)
    graph = version.signatures["embed"].graph.as_graph_def()
    assert any("While" in node.op for function in graph.library.function for node in function.node_def)


@pytest.mark.usefixtures("eager")
def test_a_mean_over_layers_is_trained_exported_and_saved_for_sentence_transformers(tmp_path: Path) -> None:
    (tmp_path / "mean").mkdir()
    make_mean(tmp_path / "bert", (1.0, 2.0, 3.0)).save(tmp_path / "mean")
    chain = NeuralSearchChain.from_pretrained(tmp_path / "mean", engine="tensorflow")
    before = chain.encode("a dog")
    chain.fit([("a cat", "the cat sleeps"), ("stock", "stocks fell on monday")], epochs=1, learning_rate=1e-3)
    assert 1e-4 < np.abs(chain.encode("a dog") - before).max() < 1
    chain.add(["the cat sleeps", "stocks fell on monday"])

    version = tf.saved_model.load(str(chain.export(tmp_path / "search")))
    texts = ["a dog", "what does the stock do on monday"]
    found = version.signatures["embed"](text=tf.constant(texts))["embedding"]
    np.testing.assert_allclose(found, chain.encode(texts), atol=1e-5)
    again = NeuralSearchChain.from_pretrained(chain.save_pretrained(tmp_path / "saved"), engine="tensorflow")
    assert again.text_encoder.config.transformer.layer_weights == (1.0, 2.0, 3.0)
    np.testing.assert_array_equal(again.encode(texts), chain.encode(texts))
