"""Folders that tfchain writes of the newer architectures, as transformers and sentence-transformers read them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tfchain.models.text_encoder import TextEncoder

pytestmark = pytest.mark.torch

FIXTURES = Path(__file__).parent / "fixtures"
# All but those that only code from the hub reads: Alibaba's NTK scaling, and jina-embeddings-v2.
NAMES = (
    *("modernbert", "qwen3", "nomic_bert", "nomic_own_code", "gte", "gemma3_text", "qwen2", "mistral", "llama"),
    *("eurobert", "jina_v3", "jina_v3_adapters"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_folder_gives_the_same_vectors_in_sentence_transformers(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    import torch
    from sentence_transformers import SentenceTransformer

    TextEncoder.from_pretrained(FIXTURES / name, engine="tensorflow").save(tmp_path, portable=True)
    options = {"dtype": torch.float32}
    model = SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True, model_kwargs=options)
    with np.load(FIXTURES / f"{name}.npz") as expected:
        vectors = model.encode([str(text) for text in expected["texts"]], show_progress_bar=False)
        np.testing.assert_allclose(vectors, expected["embeddings"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("route", ["static", "roberta"])
def test_a_saved_router_gives_the_same_vectors_in_sentence_transformers(route: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router

    encoder = TextEncoder.from_pretrained(FIXTURES / "router", engine="tensorflow")
    if route == "roberta":
        encoder.query_route = TextEncoder.from_pretrained(FIXTURES / "roberta", engine="tensorflow")
    encoder.save(tmp_path, portable=True)
    model = SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True)
    assert isinstance(model[0], Router)
    with np.load(FIXTURES / "router.npz") as expected:
        texts = [str(text) for text in expected["texts"]]
    for encode, vectors in (
        (model.encode_query, encoder.encode_query(texts)),
        (model.encode_document, encoder.encode_document(texts)),
        (model.encode, encoder.encode(texts)),
    ):
        np.testing.assert_allclose(encode(texts, show_progress_bar=False), vectors, atol=1e-5, rtol=0)
