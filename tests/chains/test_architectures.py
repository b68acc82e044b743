"""A chain with one of the newer architectures: trained, exported and served from stock ops, long texts in blocks."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

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
