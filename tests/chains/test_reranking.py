"""The life of a reranker: read, asked, trained, compressed, saved, exported; and what is said of bad input."""

import copy
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_model import save_tiny_model
from tfchain import Reranker
from tfchain.core.errors import IndexFolderError, InputError, ModelFolderError
from tfchain.models.native_library import find_obstacle
from tfchain.monitoring.canaries.canary import read_canaries
from tfchain.monitoring.drift.reference import read_reference

FIXTURES = Path(__file__).parents[1] / "parity" / "reranker_fixtures"
DOCUMENTS = ["stocks fell on monday", "the cat sleeps", "the dog runs"]
ROWS = [
    {"query": "who sleeps", "documents": ["the cat sleeps", "stocks fell", "a dog"], "labels": [1, 0, 0]},
    {"query": "what fell", "documents": ["stocks fell", "the cat"], "labels": [1, 0]},
] * 4


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    return Reranker.from_pretrained(FIXTURES / "roberta", engine="tensorflow")


def test_score_predict_and_rank_agree(reranker: Reranker) -> None:
    scores = reranker.score("who sleeps", DOCUMENTS)
    np.testing.assert_allclose(reranker.predict([("who sleeps", text) for text in DOCUMENTS]), scores, atol=1e-6)
    assert ((scores > 0) & (scores < 1)).all()
    ranked = reranker.rank("who sleeps", DOCUMENTS, top_n=2)
    best = np.argsort(-scores)[:2].tolist()
    assert [hit.index for hit in ranked] == best
    assert [hit.text for hit in ranked] == [DOCUMENTS[place] for place in best]
    np.testing.assert_allclose([hit.score for hit in ranked], scores[best], atol=1e-6)
    assert reranker.rank("who sleeps", []) == []
    assert repr(reranker) == "<Reranker: 40 tokens, 1 output(s), sigmoid>"


def test_a_trained_reranker_is_saved_copied_and_exported(tmp_path: Path) -> None:
    """One `fit`, one `export`: of an encoder with a new head, which learns to put the answers first."""
    save_tiny_model(tmp_path / "bert", seed=1, num_layers=1)
    reranker = Reranker(model=tmp_path / "bert", learning_rate=0.02, batch_size=4, engine="tensorflow")
    before = reranker.evaluate(ROWS)

    history = reranker.fit(ROWS, epochs=8)

    assert history.history["loss"][-1] < history.history["loss"][0]
    assert reranker.evaluate(ROWS)["ndcg@10"] == 1 > before["ndcg@10"]
    assert len(reranker.state) == 8  # a sample of pairs, on which an export in int8 is calibrated
    scores = reranker.score("who sleeps", DOCUMENTS)
    for again in (Reranker.load(reranker.save(tmp_path / "saved"), engine="tensorflow"), copy.deepcopy(reranker)):
        np.testing.assert_allclose(again.score("who sleeps", DOCUMENTS), scores, atol=1e-6)
        assert (again.state, again.report) == (reranker.state, reranker.report)
    words = ["cat", "dog", "stock", "monday", "who"]
    asked = [{**ROWS[0], "query": f"{one} {other}"} for one in words for other in words]
    version = reranker.export(tmp_path / "versions", reference=asked)  # compares the version's answers with Python's
    assert (version / "saved_model.pb").is_file()
    first = read_canaries(version)[0]
    assert (first.text, first.candidates) == ("cat cat", ("the cat sleeps", "stocks fell", "a dog"))
    ranked = reranker.rank(first.text, first.candidates)
    assert first.ids == tuple(str(hit.index) for hit in ranked)
    np.testing.assert_allclose(first.scores, [hit.score for hit in ranked], atol=1e-5)
    reference = read_reference(version)
    assert reference.queries is not None
    assert len(reference.queries) == 25


@pytest.mark.usefixtures("eager")
def test_a_reranker_is_tuned(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "bert", seed=1, num_layers=1)
    reranker = Reranker(model=tmp_path / "bert", batch_size=4, epochs=4, engine="tensorflow")
    report = reranker.tune(ROWS, {"learning_rate": [1e-7, 0.02]}, tuner="grid", validation=ROWS)
    assert [trial.status for trial in report.trials] == ["completed"] * 2
    assert reranker.hyperparameters.learning_rate == 0.02  # a rate that teaches nothing ranks no better than before


@pytest.mark.usefixtures("forks")
def test_a_served_reranker_scores_as_python_does_over_rest_and_grpc(reranker: Reranker, tmp_path: Path) -> None:
    expected = reranker.score("who sleeps", DOCUMENTS)
    asked = {"text": ["who sleeps"] * 3, "text_pair": DOCUMENTS}
    with reranker.deploy(tmp_path / "ranks") as deployment, deployment.client() as client:
        for protocol in ("grpc", "rest"):
            answer = client.predict(asked, model="reranking", signature="rerank", protocol=protocol)
            np.testing.assert_allclose(answer["score"], expected, atol=1e-5)


@pytest.mark.skipif(find_obstacle() is not None, reason="needs the int8 kernels")
def test_a_reranker_in_int8_is_saved_with_its_kernels(tmp_path: Path) -> None:
    reranker = Reranker.from_pretrained(FIXTURES / "bert")
    expected = reranker.score("who sleeps", DOCUMENTS)
    reranker.text_encoder = reranker.text_encoder.with_precision("int8")  # what `compress` does, unmeasured
    np.testing.assert_allclose(reranker.score("who sleeps", DOCUMENTS), expected, atol=0.03)
    again = Reranker.load(reranker.save(tmp_path / "saved"))
    np.testing.assert_array_equal(again.score("who sleeps", DOCUMENTS), reranker.score("who sleeps", DOCUMENTS))
    assert again.text_encoder.runner.running.label == "tfchain's own kernels"


def test_bad_input(reranker: Reranker, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`query` must be a text that is not empty"):
        reranker.score(" ", DOCUMENTS)
    with pytest.raises(InputError, match="`documents` must be a list of texts"):
        reranker.score("q", "a text")
    with pytest.raises(InputError, match="Each text must be a string"):
        reranker.rank("q", ["a", None])  # type: ignore[list-item]
    with pytest.raises(InputError, match="`top_n` must be a whole number of at least 1"):
        reranker.rank("q", DOCUMENTS, top_n=0)
    with pytest.raises(InputError, match="`within_ms` must be a number of milliseconds above 0"):
        reranker.rank("q", DOCUMENTS, within_ms=0)
    with pytest.raises(InputError, match="`long_documents` must be 'split' or 'truncate'"):
        reranker.score("q", DOCUMENTS, long_documents="cut")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"pairs\[1\] must be two texts"):
        reranker.predict([("q", "a"), ("q",)])  # type: ignore[list-item]
    with pytest.raises(InputError, match="`pairs` must be a list"):
        reranker.predict("qa")  # type: ignore[arg-type]
    several = Reranker.from_pretrained(FIXTURES / "bert_labels", engine="tensorflow")
    assert several.predict([("q", "a")]).shape == (1, 3)
    with pytest.raises(InputError, match="a model of 3 outputs. Use `predict`"):
        several.rank("q", DOCUMENTS)
    with pytest.raises(IndexFolderError, match="holds no saved chain"):
        Reranker.load(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="`path` must be a new or empty folder"):
        reranker.save_pretrained(tmp_path)
    save_tiny_model(tmp_path / "plain", seed=1, num_layers=1)
    with pytest.raises(ModelFolderError, match="must hold a CrossEncoder. Received: a sentence-transformers folder"):
        Reranker.from_pretrained(tmp_path / "plain")
