"""The second stage of a search: the order by hand, and in a version's native files without TensorFlow's help."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_model import save_tiny_model
from tfchain import Document, Hit, NeuralSearchChain, Reranker
from tfchain.core.proof import TOLERANCE
from tfchain.deployment.version_strings import version_holds
from tfchain.models.native_library import find_obstacle
from tfchain.models.pair_encoder import load_pair_encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import join_pair
from tfchain.tasks.native_version import load_answers
from tfchain.tasks.reranking.native_reranking import load_reranking
from tfchain.tasks.search import native_search
from tfchain.tasks.search.native_search import make_native_search
from tfchain.tasks.search.search import PassageConfig, make_index
from tfchain.tasks.search.second_stage import SecondStage, rerank_hits, rerank_run, serve_second_stage, stand_in_query

RERANKER = Path(__file__).parents[2] / "parity" / "reranker_fixtures" / "bert"
TEXTS = ["the cat sleeps", "stocks fell on monday", "a dog does " * 20, "who runs", "what a cat"]


@pytest.fixture(scope="module")
def model() -> TextEncoder:
    return load_pair_encoder(RERANKER, engine="tensorflow")[0]


def test_hits_and_rankings_in_the_rerankers_order(model: TextEncoder) -> None:
    stage = SecondStage(model, 3)
    hits = [Hit(str(place), 1 - place / 9, text) for place, text in enumerate(["who runs", "the cat", "a dog"])]
    outputs = model.encode([join_pair("who", hit.text) for hit in hits])[:, 0]
    order = np.argsort(-outputs, kind="stable").tolist()

    found = rerank_hits(stage, "who", hits, top_k=2)

    assert [hit.id for hit in found] == [str(place) for place in order[:2]]
    np.testing.assert_allclose([hit.score for hit in found], 1 / (1 + np.exp(-outputs[order[:2]])), atol=1e-6)
    run = {"q": [(hit.id, hit.score) for hit in [*hits, Hit("last", 0.1, "beyond the first three")]]}
    documents = {hit.id: Document(hit.id, hit.text) for hit in hits}
    ranked = rerank_run(stage, {"q": "who"}, run, documents)
    assert [id for id, _ in ranked["q"]] == [*(str(place) for place in order), "last"]


def test_a_saved_models_reranker_is_in_a_precision_that_tensorflow_has(model: TextEncoder) -> None:
    stage = SecondStage(model, 3)
    assert serve_second_stage(stage, None).model is model
    half = SecondStage(model.with_precision("float16", engine="litert"), 3)
    assert serve_second_stage(half, [Document("a", "b")]).model.precision == "float32"
    assert stand_in_query("one two three four five six seven eight nine") == "one two three four five six seven eight"


@pytest.mark.skipif(find_obstacle() is not None, reason="needs the int8 kernels")
def test_the_kernels_files_give_pythons_reranked_documents(model: TextEncoder, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "bert", seed=1, num_layers=1)
    encoder = TextEncoder.from_pretrained(tmp_path / "bert", precision="int8", engine="native")
    stage = SecondStage(model.with_precision("int8", engine="native"), 4)
    documents = [Document(f"d{place}", text, metadata={"place": place}) for place, text in enumerate(TEXTS)]
    index = make_index(encoder, documents, PassageConfig())
    parts = make_native_search(encoder, index, top_k=2, texts=["who sleeps", "what fell"], second_stage=stage)
    assert parts is not None
    (tmp_path / "native").mkdir()
    parts.write(tmp_path / "native")

    answers = load_answers(tmp_path / "native")

    proofs = [proof for proof in parts.proofs if "ids" in proof.outputs]
    assert [proof.signature for proof in proofs] == ["serving_default", "search_filtered"]
    for proof in proofs:
        ids, scores = answers[proof.signature](proof.inputs, ["ids", "scores"], lambda: None)
        assert (ids == proof.outputs["ids"])[~proof.ties["ids"].astype(bool)].all()
        np.testing.assert_allclose(scores, proof.outputs["scores"], atol=TOLERANCE)
    hits = index.search(encoder.encode_query(["who sleeps"]), 4)[0]
    expected = rerank_hits(stage, "who sleeps", hits, top_k=2)
    ids, scores = answers["search"]({"text": np.array([b"who sleeps"], object)}, ["ids", "scores"], lambda: None)
    assert ids[0].tolist() == [hit.id.encode() for hit in expected]
    np.testing.assert_allclose(scores[0], [hit.score for hit in expected], atol=1e-6)


def test_scores_of_a_rerankers_own_version(tmp_path: Path) -> None:
    outputs = np.array([[0.0], [np.log(3)]], "float32")
    answer = load_reranking(tmp_path, {"activation": "sigmoid"})
    score, output = answer(outputs, ["score", "output"], {})
    np.testing.assert_allclose(score, [0.5, 0.75], atol=1e-6)
    np.testing.assert_array_equal(output, outputs[:, 0])


def test_a_version_holds_the_pieces_of_both_tokenizers(tmp_path: Path) -> None:
    parity = RERANKER.parents[1]
    chain = NeuralSearchChain.from_pretrained(parity / "fixtures" / "roberta", engine="tensorflow")
    chain.add(TEXTS)
    chain.use_reranker(Reranker.from_pretrained(RERANKER.parent / "xlm_roberta", engine="tensorflow"), top=3)

    version = chain.export(tmp_path / "m", top_k=2)  # it loads the version, and compares its answers

    listed = json.loads((version / "assets.extra" / "tfchain.json").read_text(encoding="utf-8"))
    assert "SentencepieceTokenizeOp" in json.dumps(listed)


def test_a_version_reranks_by_a_prompt(tmp_path: Path) -> None:
    """Words run across the ends of a prompt's parts, so the graph keeps passages as texts, not as token ids."""
    save_tiny_model(tmp_path / "bert", seed=1, num_layers=1)
    texts = [*TEXTS, "a separator \x1f in it", "猫在睡觉 \x00 é"]
    reranker = Reranker.from_pretrained(RERANKER.parent / "qwen3", engine="tensorflow")
    chain = NeuralSearchChain.from_pretrained(
        tmp_path / "bert", engine="tensorflow", reranker=reranker, rerank_top=len(texts)
    ).add([Document(f"d{place}", text, title="on" * (place == 4)) for place, text in enumerate(texts)])

    version = chain.export(tmp_path / "versions", top_k=3)

    served = tf.saved_model.load(str(version))
    queries = ["who \x1f sleeps", "what fell on monday " * 9]
    found = served.signatures["search"](text=tf.constant(queries))
    for row, query in enumerate(queries):
        hits = chain.search(query, top_k=3).hits
        assert found["ids"][row].numpy().tolist() == [hit.id.encode() for hit in hits]
        np.testing.assert_allclose(found["scores"][row], [hit.score for hit in hits], atol=1e-5)
    assert version_holds(version, lambda text: text == "on what a cat")  # a passage, with the document's title
    pairs = [("who sleeps", "the cat"), ("what", "")]
    scores = served.signatures["rerank"](
        text=tf.constant([first for first, _ in pairs]), text_pair=tf.constant([second for _, second in pairs])
    )
    np.testing.assert_allclose(scores["output"], reranker.predict(pairs, activation="identity"), atol=1e-5)


def test_the_kernels_do_not_rerank_by_a_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where they run: the version then has its SavedModel alone."""
    monkeypatch.setattr(native_search, "can_serve_natively", lambda model: True)
    save_tiny_model(tmp_path / "bert", seed=1, num_layers=1)
    encoder = TextEncoder.from_pretrained(tmp_path / "bert", engine="tensorflow")
    stage = SecondStage(load_pair_encoder(RERANKER.parent / "qwen3", engine="tensorflow")[0], 4)
    index = make_index(encoder, [Document("a", "the cat sleeps")], PassageConfig())
    with caplog.at_level("INFO"):
        assert make_native_search(encoder, index, top_k=1, texts=["who"], second_stage=stage) is None
    assert "its reranker reads query and passage in a prompt" in caplog.text
