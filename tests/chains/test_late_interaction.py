"""The life of a reranker by late interaction: asked, trained, saved, exported, and in a search with its version."""

import copy
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_model import save_tiny_model
from tfchain import Document, LateInteractionReranker, NeuralSearchChain, ReduceDimensions, Reranker, TrimVocabulary
from tfchain.chains.search_reranker import SearchReranker
from tfchain.core.errors import IndexFolderError, InputError, ModelFolderError
from tfchain.tasks.late_interaction.scoring import score_documents

FIXTURES = Path(__file__).parents[1] / "parity" / "late_fixtures"
DOCUMENTS = ["stocks fell on monday", "the cat sleeps", "the dog runs"]
QUERY = "what does the cat do"
ROWS = [("who sleeps", "the cat sleeps", "stocks fell"), ("what fell", "stocks fell", "the cat runs")] * 4
JUDGED = [{"query": query, "documents": [wrong, right], "labels": [0, 1]} for query, right, wrong in ROWS[:2]]


@pytest.fixture(scope="module")
def reranker() -> LateInteractionReranker:
    return LateInteractionReranker.from_pretrained(FIXTURES / "stanford", engine="tensorflow", pool_factor=2)


@pytest.fixture(scope="module")
def thin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "bert"
    save_tiny_model(folder, seed=1, num_layers=1)
    return folder


def test_score_rank_and_vectors_agree(reranker: LateInteractionReranker) -> None:
    scores = reranker.score(QUERY, DOCUMENTS)
    query = reranker.encode_query([QUERY])[0]
    vectors = reranker.encode_document(DOCUMENTS)
    by_hand = [sum((each @ query.T).max(axis=0)) for each in vectors]
    np.testing.assert_allclose(scores, by_hand, rtol=1e-5)
    best = np.argsort(-scores)[:2].tolist()
    assert [hit.index for hit in reranker.rank(QUERY, DOCUMENTS, top_n=2)] == best
    assert reranker.rank(QUERY, []) == []
    pooled = reranker.encode_document(DOCUMENTS, pool_factor=2)
    assert [len(each) for each in pooled] == [1 + (len(each) - 1) // 2 for each in vectors]
    assert repr(reranker) == "<LateInteractionReranker: 8 numbers a token, documents of 36 tokens>"


def test_a_trained_reranker_is_saved_copied_and_exported(thin: Path, tmp_path: Path) -> None:
    """One `fit`, one `export`: of an encoder with a new projection, which learns to put the answers first."""
    reranker = LateInteractionReranker(
        model=thin, dim=8, query_length=8, document_length=12, learning_rate=0.02, batch_size=4, engine="tensorflow"
    )
    history = reranker.fit(ROWS, epochs=8)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert reranker.evaluate(JUDGED)["ndcg@10"] == 1
    assert len(reranker.state) == 8  # a sample of documents, on which an export in int8 is calibrated
    scores = reranker.score(QUERY, DOCUMENTS)
    for again in (
        LateInteractionReranker.load(reranker.save(tmp_path / "a"), engine="tensorflow"),
        copy.deepcopy(reranker),
    ):
        np.testing.assert_allclose(again.score(QUERY, DOCUMENTS), scores, atol=1e-5)
        assert (again.state, again.report, again.options) == (reranker.state, reranker.report, reranker.options)
    version = reranker.export(tmp_path / "versions")  # compares the version's answers with Python's
    assert (version / "saved_model.pb").is_file()


def test_a_search_puts_its_hits_in_order_in_python_and_in_a_version(
    reranker: LateInteractionReranker, thin: Path, tmp_path: Path
) -> None:
    texts = [*DOCUMENTS, "a dog does what it does on monday " * 12, "what a cat"]
    documents = [Document(f"d{number}", text, metadata={"n": number}) for number, text in enumerate(texts)]
    chain = NeuralSearchChain.from_pretrained(thin, engine="tensorflow", reranker=reranker, rerank_top=4)
    chain.add(documents)
    hits = chain.search(QUERY, top_k=3).hits
    plain = NeuralSearchChain.from_pretrained(thin, engine="tensorflow").add(documents)
    found = {hit.id: hit.text for hit in plain.search(QUERY, top_k=4).hits}
    scores = reranker.score(QUERY, list(found.values()), long_documents="split")
    exact = dict(zip(found, scores, strict=True))
    assert {hit.id for hit in hits} <= set(found)
    # The search keeps one vector for two tokens, in int8.
    np.testing.assert_allclose([hit.score for hit in hits], [exact[hit.id] for hit in hits], rtol=0.05)

    loaded = NeuralSearchChain.load(chain.save(tmp_path / "chain"), engine="tensorflow")
    assert isinstance(loaded.second.reranker, LateInteractionReranker)
    assert loaded.second.reranker.options == reranker.options
    again = loaded.search(QUERY, top_k=3).hits
    assert [(hit.id, hit.score) for hit in again] == [(hit.id, pytest.approx(hit.score, abs=1e-4)) for hit in hits]

    version = tf.saved_model.load(str(chain.export(tmp_path / "versions", top_k=3)))
    answer = version.signatures["serving_default"](text=tf.constant([QUERY]))
    assert [id.decode() for id in answer["ids"].numpy()[0]] == [hit.id for hit in hits]
    np.testing.assert_allclose(answer["scores"].numpy()[0], [hit.score for hit in hits], rtol=1e-3)
    pair = version.signatures["rerank"](text=tf.constant([QUERY]), text_pair=tf.constant(DOCUMENTS[1:2]))
    np.testing.assert_allclose(pair["score"].numpy(), reranker.score(QUERY, DOCUMENTS[1:2]), rtol=1e-5)


def test_scores_in_int8_are_near(reranker: LateInteractionReranker) -> None:
    quantized = reranker.text_encoder.with_precision("int8", engine="litert")
    scores = score_documents(quantized, QUERY, DOCUMENTS)
    np.testing.assert_allclose(scores, reranker.score(QUERY, DOCUMENTS), rtol=5e-3)
    with pytest.raises(InputError, match="the kernels sum token vectors up"):
        reranker.text_encoder.with_precision("int8", engine="native").encode(DOCUMENTS)


def test_recipes_that_late_interaction_does_not_take(reranker: LateInteractionReranker) -> None:
    for recipe, message in (
        (ReduceDimensions(4, method="truncate"), "ReduceDimensions makes a text's one vector narrower"),
        (TrimVocabulary(scripts=("Latin",)), "TrimVocabulary does not renumber the tokens"),
    ):
        with pytest.raises(InputError, match=message):
            reranker.compress([recipe])


def test_a_saved_reranker_and_a_folder_are_read_by_their_path(
    reranker: LateInteractionReranker, tmp_path: Path
) -> None:
    for path in (reranker.save(tmp_path / "saved"), FIXTURES / "stanford"):
        second = SearchReranker.make(path, top=5, within_ms=None, engine="tensorflow")
        assert second is not None
        assert second.reranker.text_encoder.fingerprint == reranker.text_encoder.fingerprint


def test_bad_input(reranker: LateInteractionReranker, thin: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`query` must be a text that is not empty"):
        reranker.score(" ", DOCUMENTS)
    with pytest.raises(InputError, match="`documents` must be a list of texts"):
        reranker.rank(QUERY, "the cat sleeps")
    with pytest.raises(InputError, match="`pool_factor` must be a whole number of at least 1"):
        reranker.encode_document(DOCUMENTS, pool_factor=0)
    with pytest.raises(InputError, match="must be a new or empty folder"):
        reranker.save_pretrained(thin)
    with pytest.raises(ModelFolderError, match="must hold a model of late interaction"):
        LateInteractionReranker.from_pretrained(thin)
    with pytest.raises(ModelFolderError, match="tfchain.LateInteractionReranker takes it"):
        NeuralSearchChain.from_pretrained(FIXTURES / "pylate")
    saved = reranker.save(tmp_path / "saved")
    with pytest.raises(IndexFolderError, match="the task 'late_interaction'. Expected: 'reranking'"):
        Reranker.load(saved)
    model = next(path for path in saved.iterdir() if path.is_dir())
    with pytest.raises(InputError, match="must have one vector a text"):
        NeuralSearchChain.from_pretrained(model)
    manifest = saved / "chain.json"
    manifest.write_text(manifest.read_text().replace('"pool_factor"', '"pooled"'))
    with pytest.raises(IndexFolderError, match="has settings that cannot be read: TypeError"):
        LateInteractionReranker.load(saved)
