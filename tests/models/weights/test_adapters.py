"""Adapters by task inside a checkpoint, as jina-embeddings-v3 has them."""

from pathlib import Path

import numpy as np
import pytest

from tfchain import AutoModel
from tfchain.core.errors import ModelFolderError
from tfchain.models.text_encoder import TextEncoder

FOLDER = Path(__file__).parents[2] / "parity" / "fixtures" / "jina_v3_adapters"


def test_an_adapter_gives_the_vectors_that_sentence_transformers_gives_with_it_merged(tmp_path: Path) -> None:
    expected = np.load(f"{FOLDER}.npz")
    texts = [str(text) for text in expected["texts"]]
    encoder = TextEncoder.from_pretrained(FOLDER, engine="tensorflow", adapter="retrieval.passage")
    np.testing.assert_allclose(encoder.encode(texts), expected["adapter_embeddings"], atol=1e-5)
    plain = TextEncoder.from_pretrained(FOLDER, engine="tensorflow")
    assert np.abs(plain.encode(texts) - encoder.encode(texts)).max() > 0.1
    assert plain.fingerprint != encoder.fingerprint

    encoder.save(tmp_path)  # merged, for good
    again = TextEncoder.from_pretrained(tmp_path, engine="tensorflow")
    np.testing.assert_array_equal(again.encode(texts), encoder.encode(texts))


def test_an_adapter_that_is_not_there_is_refused_with_those_that_are() -> None:
    message = "must be one of retrieval.query, retrieval.passage, text-matching. Received: adapter='clustering'"
    with pytest.raises(ModelFolderError, match=message):
        AutoModel.from_pretrained(FOLDER, adapter="clustering")
    with pytest.raises(ModelFolderError, match="the model has no adapters"):
        AutoModel.from_pretrained(FOLDER.with_name("jina_v3"), adapter="clustering")
