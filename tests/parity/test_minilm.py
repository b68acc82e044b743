"""all-MiniLM-L6-v2 against sentence-transformers, on 500 texts of every kind."""

from pathlib import Path

import numpy as np
import pytest

from tests.parity.texts import hash_texts, reference_texts
from tfchain.models.text_encoder import TextEncoder

FIXTURE = Path(__file__).parent / "fixtures" / "minilm.npz"


@pytest.mark.parametrize(("engine", "every"), [("tensorflow", 1), ("litert", 5)])
def test_vectors_of_500_texts_are_those_of_sentence_transformers(
    engine: str, every: int, shared_data: Path, minilm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    texts = reference_texts(shared_data)
    expected = np.load(FIXTURE)
    assert hash_texts(texts) == str(expected["texts_sha256"]), "the texts are not those that the vectors are of"
    vectors = TextEncoder.from_pretrained(minilm_path, engine=engine).encode(texts[::every])
    assert vectors.shape == (500 // every, 384)
    assert np.abs(vectors - expected["embeddings"][::every]).max() <= 1e-5
