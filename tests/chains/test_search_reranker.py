"""A search chain with a reranker: its hits, both stages in an evaluation, and what is saved. A version: test_rerank."""

import copy
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_model import save_tiny_model
from tfchain import Document, NeuralSearchChain, Reranker
from tfchain.chains.search_reranker import SearchReranker
from tfchain.core.errors import IndexFolderError, InputError

FIXTURES = Path(__file__).parents[1] / "parity" / "reranker_fixtures"
TEXTS = ["the cat sleeps", "stocks fell on monday", "who runs", "a dog does " * 20, "what a cat"]
QUERY = "what does the cat do"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "bert"
    save_tiny_model(folder, seed=1, num_layers=1)
    return folder


@pytest.fixture(scope="module")
def reranker() -> Reranker:
    return Reranker.from_pretrained(FIXTURES / "bert", engine="tensorflow")


@pytest.fixture
def chain(model: Path, reranker: Reranker) -> NeuralSearchChain:
    made = NeuralSearchChain.from_pretrained(model, engine="tensorflow", reranker=reranker, rerank_top=3)
    return made.add([Document(f"d{number}", text, title="on" * (number == 4)) for number, text in enumerate(TEXTS)])


def test_the_documents_found_are_put_in_the_rerankers_order(
    chain: NeuralSearchChain, model: Path, reranker: Reranker
) -> None:
    plain = NeuralSearchChain.from_pretrained(model, engine="tensorflow").add(list(chain.index))
    found = plain.search(QUERY, top_k=3).hits
    texts = [f"{hit.title} {hit.text}".strip() for hit in found]
    outputs = reranker.score(QUERY, texts, long_documents="split")  # the folder's activation is the identity
    order = np.argsort(-outputs, kind="stable").tolist()

    result = chain.search(QUERY, top_k=2)

    assert [hit.id for hit in result.hits] == [found[place].id for place in order[:2]]
    sigmoid = 1 / (1 + np.exp(-outputs[order[:2]]))
    np.testing.assert_allclose([hit.score for hit in result.hits], sigmoid, atol=1e-6)
    assert result["answer"] == result.hits[0].text
    assert len(chain.search(QUERY, top_k=5).hits) == 5  # more than `rerank_top`: as many are reranked


def test_an_evaluation_reports_both_stages(chain: NeuralSearchChain) -> None:
    first = chain.search(QUERY, top_k=3).hits[0].id
    report = chain.evaluate({"queries": {"q": QUERY}, "qrels": {"q": {first: 1}}}, metrics=["mrr@10", "recall@100"])
    assert set(report) == {"mrr@10", "recall@100", "reranked_mrr@10", "reranked_recall@100"}
    assert report["reranked_mrr@10"] == 1
    assert report["recall@100"] == report["reranked_recall@100"] == 1


def test_a_saved_chain_has_its_reranker(chain: NeuralSearchChain, tmp_path: Path) -> None:
    expected = [(hit.id, hit.score) for hit in chain.search(QUERY, top_k=2).hits]
    chain.save(tmp_path / "chain")
    loaded = NeuralSearchChain.load(tmp_path / "chain", engine="tensorflow")
    for again in (loaded, copy.deepcopy(chain)):
        assert again.second is not None
        assert (again.second.top, again.second.within_ms) == (3, None)
        found = [(hit.id, hit.score) for hit in again.search(QUERY, top_k=2).hits]
        assert found == [(id, pytest.approx(score, abs=1e-6)) for id, score in expected]
    loaded.forget(["d1"])
    assert NeuralSearchChain.load(tmp_path / "chain").second is not None  # `forget` keeps its folder
    loaded.use_reranker(None).save(tmp_path / "chain")
    assert not list((tmp_path / "chain").glob("reranker-*"))
    assert NeuralSearchChain.load(tmp_path / "chain").second is None


def test_a_damaged_reranker_is_named(chain: NeuralSearchChain, tmp_path: Path) -> None:
    chain.save(tmp_path / "chain")
    manifest = tmp_path / "chain" / "chain.json"
    manifest.write_text(manifest.read_text().replace('"activation"', '"activated"'))
    with pytest.raises(IndexFolderError, match="has a reranker that cannot be read: KeyError"):
        NeuralSearchChain.load(tmp_path / "chain")


def test_a_time_budget_leaves_out_what_it_does_not_reach(model: Path, reranker: Reranker) -> None:
    documents = [f"the {word} sleeps" for word in "abcdefghijklmnopqrst"]
    chain = NeuralSearchChain.from_pretrained(
        model, engine="tensorflow", reranker=reranker, rerank_top=20, rerank_ms=1e-6
    ).add(documents)
    assert len(chain.search("who sleeps", top_k=20).hits) == 20  # as many as are asked for in any case
    plain = NeuralSearchChain.from_pretrained(model, engine="tensorflow").add(documents)
    reached = {hit.id for hit in plain.search("who sleeps", top_k=8).hits}
    assert {hit.id for hit in chain.search("who sleeps", top_k=3).hits} <= reached


def test_bad_arguments(model: Path, reranker: Reranker) -> None:
    for arguments, message in (
        (
            {"reranker": 3},
            "`reranker` must be a Reranker, .* or a LateInteractionReranker. Received: int",
        ),
        ({"reranker": reranker, "rerank_top": 0}, "`rerank_top` must be a whole number of at least 1"),
        ({"reranker": reranker, "rerank_ms": -1}, "`rerank_ms` must be a number of milliseconds above 0"),
        ({"reranker": FIXTURES / "bert_labels"}, "`reranker` must have one output"),
    ):
        with pytest.raises(InputError, match=message):
            NeuralSearchChain.from_pretrained(model, **arguments)


def test_a_saved_reranker_is_read_by_its_folder(reranker: Reranker, tmp_path: Path) -> None:
    saved = reranker.save(tmp_path / "saved")
    second = SearchReranker.make(saved, top=5, within_ms=20, engine="tensorflow")
    assert second is not None
    assert second.reranker.text_encoder.fingerprint == reranker.text_encoder.fingerprint
    assert SearchReranker.make(None, top=5, within_ms=None, engine="auto") is None
