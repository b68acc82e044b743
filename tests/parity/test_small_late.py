"""Models of late interaction from every kind of folder against sentence-transformers' MultiVectorEncoder."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tests.parity.test_fixtures_torch import list_files, read_content
from tfchain import LateInteractionReranker

FIXTURES = Path(__file__).parent / "late_fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.npz"))


@pytest.fixture(scope="module", params=NAMES)
def kept(request: pytest.FixtureRequest) -> tuple[LateInteractionReranker, dict[str, np.ndarray]]:
    with np.load(FIXTURES / f"{request.param}.npz") as arrays:
        loaded = dict(arrays)
    return LateInteractionReranker.from_pretrained(FIXTURES / request.param, engine="tensorflow"), loaded


@pytest.mark.parametrize("side", ["query", "document"])
def test_vectors_are_those_of_a_multi_vector_encoder_together_and_alone(kept, side: str) -> None:
    reranker, expected = kept
    encode = getattr(reranker, f"encode_{side}")
    texts = expected[f"{side}_texts"].tolist()
    together = encode(texts)
    assert [len(each) for each in together] == expected[f"{side}_counts"].tolist()
    np.testing.assert_allclose(np.concatenate(together), expected[f"{side}_vectors"], atol=2e-6, rtol=0)
    for text, vectors in zip(texts[:4], together, strict=False):
        np.testing.assert_allclose(encode([text])[0], vectors, atol=2e-6, rtol=0)


def test_scores_are_those_of_a_multi_vector_encoder(kept) -> None:
    reranker, expected = kept
    documents = expected["document_texts"].tolist()
    for query, scores in zip(expected["query_texts"].tolist(), expected["scores"], strict=True):
        if query:
            np.testing.assert_allclose(reranker.score(query, documents), scores, atol=1e-5, rtol=0)


def test_saved_folders_give_the_same_scores(kept, tmp_path: Path) -> None:
    reranker, expected = kept
    query, documents = expected["query_texts"].tolist()[0], expected["document_texts"].tolist()
    for again in (
        LateInteractionReranker.from_pretrained(reranker.save_pretrained(tmp_path / "saved"), engine="tensorflow"),
        LateInteractionReranker.load(reranker.save(tmp_path / "own"), engine="tensorflow"),
    ):
        np.testing.assert_allclose(again.score(query, documents), expected["scores"][0], atol=1e-5, rtol=0)
        assert again.options == reranker.options
        assert again.text_encoder.fingerprint == reranker.text_encoder.fingerprint


def test_kinds_of_folder_that_are_kept() -> None:
    """Expanded queries that are attended to and that are not, none, and ones of a least length."""
    tokens = [LateInteractionReranker.from_pretrained(FIXTURES / name).text_encoder.config.tokens for name in NAMES]
    assert {each.attends_to_expansion for each in tokens} == {False, True}
    assert {bool(each.expanded_length) for each in tokens} == {False, True}
    assert {each.truncates_expanded for each in tokens} == {False, True}
    assert {bool(each.skipped_ids) for each in tokens} == {False, True}


@pytest.mark.torch
@pytest.mark.parametrize("name", NAMES)
def test_a_multi_vector_encoder_reads_what_save_pretrained_writes(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    from tests.parity.small_late import expected_arrays

    reranker = LateInteractionReranker.from_pretrained(FIXTURES / name, engine="tensorflow")
    made, expected = expected_arrays(reranker.save_pretrained(tmp_path / "saved")), np.load(FIXTURES / f"{name}.npz")
    np.testing.assert_allclose(made["scores"], expected["scores"], atol=1e-5, rtol=0)


@pytest.mark.torch
@pytest.mark.parametrize("name", NAMES)
def test_a_small_model_made_again_equals_the_kept_one(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    from tests.parity.small_late import SMALL_LATE, make_small_late

    assert sorted(SMALL_LATE) == NAMES
    make_small_late(name, tmp_path)
    assert list_files(tmp_path / name) == list_files(FIXTURES / name)
    for file in set(list_files(tmp_path / name)) - {"config_sentence_transformers.json"}:
        assert read_content(tmp_path / name / file) == read_content(FIXTURES / name / file), file
    with np.load(tmp_path / f"{name}.npz") as made, np.load(FIXTURES / f"{name}.npz") as expected:
        np.testing.assert_allclose(made["scores"], expected["scores"], rtol=0, atol=5e-6)


@pytest.mark.torch
def test_pooled_tokens_are_those_of_sentence_transformers() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    import torch
    from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling

    from tfchain.tasks.late_interaction.token_pooling import pool_tokens

    vectors = np.random.default_rng(3).normal(size=(41, 16)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for factor in (1, 2, 3, 4):
        expected = HierarchicalTokenPooling(factor).pool([torch.tensor(vectors)])[0].numpy()
        np.testing.assert_allclose(pool_tokens(vectors, factor), expected, atol=1e-6)
