"""The chain as users write it."""

import copy
import dataclasses
import logging
import pickle
import socket
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from transformers import AutoTokenizer, BertTokenizer

from tests.data.preparation.killing_steps import Shout
from tfchain import AutoModel, NeuralSearchChain
from tfchain.core.atomic import write_json
from tfchain.core.errors import InputError, ModelFolderError, ServerError, TfchainError
from tfchain.core.types import Document
from tfchain.deployment.repository import DESCRIPTION, list_versions, next_version
from tfchain.deployment.server.policies import LatestOf
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.search.search import encode_documents


@pytest.fixture
def chain(thin_model_path: Path) -> NeuralSearchChain:
    return NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")


@pytest.fixture(scope="module")
def chinese_model(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT of fixed random weights in a Hugging Face folder, with the vocabulary of bert-base-chinese."""
    keras.utils.set_random_seed(6)
    folder = tmp_path_factory.mktemp("chinese") / "bert"
    folder.mkdir()
    tokenizer = BertTokenizer(vocab=str(shared_data / "bert_vocab" / "bert-base-chinese-vocab.txt"))
    shape = TransformerConfig(
        architecture="bert",
        vocabulary_size=len(tokenizer),
        hidden_dim=16,
        num_layers=1,
        num_heads=2,
        intermediate_dim=32,
        max_positions=64,
        num_token_types=2,
    )
    TextEncoder(tokenizer, Encoder(EncoderConfig(transformer=shape)), engine="tensorflow").save(folder, portable=True)
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()  # what is left is a plain Hugging Face folder
    return folder


def run_the_missions_script(tokenizer: object, model: object, tmp_path: Path) -> None:
    search_chain = NeuralSearchChain(tokenizer=tokenizer, model=model, learning_rate=0.001, batch_size=32, epochs=10)
    result = search_chain.search("你好，我是一个智能助手。")
    assert result == {"text": "你好，我是一个智能助手。", "answer": "你好，我是一个智能助手。"}
    assert repr(result) == "{'text': '你好，我是一个智能助手。', 'answer': '你好，我是一个智能助手。'}"
    search_chain.add(["今天天气很好。", "你好，我是一个智能助手。", "股票下跌了。"])
    dataset = [("你好", "你好，我是一个智能助手。"), ("天气", "今天天气很好。"), ("股票", "股票下跌了。")]
    history = search_chain.fit(dataset, batch_size=32, epochs=10)
    assert len(history.history["loss"]) == 10
    assert np.mean(history.history["loss"][5:]) < np.mean(history.history["loss"][:5])
    with search_chain.deploy(tmp_path / "versions") as deployment:
        served = deployment.client().search(["你好，我是一个智能助手。"], model="search")
    assert (
        served[0]["answer"] == search_chain.search("你好，我是一个智能助手。")["answer"] == "你好，我是一个智能助手。"
    )


@pytest.mark.usefixtures("forks")
def test_the_missions_script_runs_with_tfchains_automodel(chinese_model: Path, tmp_path: Path) -> None:
    run_the_missions_script(
        AutoTokenizer.from_pretrained(chinese_model), AutoModel.from_pretrained(chinese_model), tmp_path
    )


@pytest.mark.torch
def test_the_missions_script_runs_with_a_pytorch_automodel(chinese_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModel as TorchAutoModel

    tokenizer, model = AutoTokenizer.from_pretrained(chinese_model), TorchAutoModel.from_pretrained(chinese_model)
    run_the_missions_script(tokenizer, model, tmp_path)
    mine = NeuralSearchChain(tokenizer=tokenizer, model=chinese_model).encode(["你好"])
    np.testing.assert_allclose(NeuralSearchChain(tokenizer=tokenizer, model=model).encode(["你好"]), mine, atol=1e-6)


@pytest.mark.torch
def test_sentence_transformers_loads_what_save_pretrained_wrote(minilm_path: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    chain = NeuralSearchChain.from_pretrained(minilm_path, engine="tensorflow")
    chain.save_pretrained(tmp_path / "saved")
    texts = ["how do I merge two sorted lists", "你好", ""]
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert theirs.max_seq_length == 256
    np.testing.assert_allclose(theirs.encode(texts), chain.encode(texts), atol=1e-5)


def test_without_documents_the_answer_is_the_text_and_a_warning_says_so(
    chain: NeuralSearchChain, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert chain.search("who") == {"text": "who", "answer": "who"}
    assert "No documents were added" in caplog.text


def test_the_answer_is_the_best_hits_text_and_hits_come_with_all_fields(chain: NeuralSearchChain) -> None:
    chain.add([{"id": "x", "title": "Cats", "text": "the cat sleeps", "year": 1999}, "stocks fell on monday"])
    result = chain.search("Cats the cat sleeps")
    assert result == {"text": "Cats the cat sleeps", "answer": "the cat sleeps"}
    best, other = result.hits
    assert (best.id, best.title, best.metadata) == ("x", "Cats", {"year": 1999})
    assert best.score == pytest.approx(1, abs=1e-5)
    assert best.score > other.score
    assert other.id == "1"


def test_a_list_of_texts_gives_a_list_and_top_k_limits_the_hits(chain: NeuralSearchChain) -> None:
    chain.add(["the cat", "the dog", "monday"])
    results = chain.search(["cat", "dog"], top_k=2)
    assert [result["text"] for result in results] == ["cat", "dog"]
    assert [len(result.hits) for result in results] == [2, 2]
    assert len(chain.search("cat", top_k=100).hits) == 3


def test_long_documents_are_found_by_their_end_only_when_they_are_split(thin_model_path: Path) -> None:
    long = "the cat sleeps. " * 20 + "stocks fell on monday."
    ranks = {}
    for mode in ("split", "truncate"):
        chain = NeuralSearchChain.from_pretrained(thin_model_path, passages=mode, engine="tensorflow")
        chain.add([{"id": "long", "text": long}])
        assert len(chain) == 1
        ranks[mode] = chain.search("stocks fell on monday").hits[0].score
        assert (len(chain.index.vectors.vectors) > 1) == (mode == "split")
    assert ranks["split"] > ranks["truncate"] + 0.01


def test_queries_and_documents_get_their_prompts(thin_model_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(
        thin_model_path, prompts={"query": "who ", "document": "does "}, engine="tensorflow"
    )
    np.testing.assert_array_equal(chain.encode_query(["cat"]), chain.encode(["who cat"]))
    np.testing.assert_array_equal(chain.encode_document(["cat"]), chain.encode(["does cat"]))
    chain.add(["the cat"])
    assert chain.search("cat").hits[0].score == pytest.approx(
        float(chain.encode("who cat") @ chain.encode("does the cat")), abs=1e-6
    )


def test_documents_that_are_empty_or_broken_are_left_out_as_add_is_told(
    chain: NeuralSearchChain, caplog: pytest.LogCaptureFixture
) -> None:
    chain.add(["one", " ", "three"])
    assert "Skipped 1 document with neither title nor text, the first at documents[1]" in caplog.text
    assert [document.id for document in chain.index] == ["0", "2"]
    with pytest.raises(InputError, match=r"documents\[0\]: A document must have a text or a title"):
        chain.add([""], empty="error")
    with pytest.raises(InputError, match="`empty` must be 'skip' or 'error' for an index"):
        chain.add([""], empty="keep")  # type: ignore[arg-type]
    chain.add([7, "five"], max_broken=1)
    assert [document.id for document in chain.index] == ["0", "2", "4"]  # no number is given twice
    with pytest.raises(InputError, match="A document in an index must have a text or a title. Received: document 'x'"):
        next(encode_documents(chain.text_encoder, [Document("x", " ")], chain.passages))


def test_an_add_that_fails_adds_nothing(chain: NeuralSearchChain) -> None:
    chain.add(["the cat"])
    with pytest.raises(InputError, match="text"):
        chain.add([{"id": "1", "text": "a dog"}, {"id": "2", "text": 3}])
    assert [one.id for one in chain.index] == ["0"]


def test_changed_weights_make_the_index_stale_and_the_next_search_encodes_again(chain: NeuralSearchChain) -> None:
    chain.add(["the cat sleeps", "stocks fell"])
    before = chain.index.vectors.vectors.copy()
    weights = chain.model.get_weights()
    chain.model.set_weights([weight + 0.3 * np.cos(np.arange(weight.size)).reshape(weight.shape) for weight in weights])
    chain.text_encoder.refresh()
    assert chain.is_stale
    assert chain.search("the cat sleeps").hits[0].score == pytest.approx(1, abs=1e-5)
    assert not chain.is_stale
    assert np.abs(chain.index.vectors.vectors - before).max() > 1e-3
    assert [one.id for one in chain.index] == ["0", "1"]


def test_changed_weights_are_noticed_without_a_word(chain: NeuralSearchChain) -> None:
    chain.add(["the cat sleeps", "stocks fell"])
    chain.model.set_weights([weight * 1.5 + 0.1 for weight in chain.model.get_weights()])
    assert chain.search("the cat sleeps").hits[0].score == pytest.approx(1, abs=1e-5)


def test_documents_without_id_never_take_the_place_of_others(chain: NeuralSearchChain) -> None:
    chain.add([{"id": "1", "text": "the cat"}])
    chain.add(["a dog"])
    chain.remove("2")
    chain.add(["who", {"id": "x", "text": "what"}, "monday"])
    assert [(one.id, one.text) for one in chain.index] == [
        ("1", "the cat"),
        ("3", "who"),
        ("x", "what"),
        ("5", "monday"),
    ]


def test_the_constructor_takes_from_a_folder_what_is_not_given(shared_data: Path, minilm_path: Path) -> None:
    chain = NeuralSearchChain(minilm_path, str(minilm_path), engine="tensorflow")
    assert chain.text_encoder.tokenizer.max_length == 256
    assert chain.text_encoder.fingerprint == NeuralSearchChain.from_pretrained(minilm_path).text_encoder.fingerprint
    assert NeuralSearchChain(None, minilm_path, max_length=64).text_encoder.tokenizer.max_length == 64


def test_another_maximum_makes_other_vectors_of_the_same_converted_model(thin_model_path: Path) -> None:
    whole, short = (NeuralSearchChain.from_pretrained(thin_model_path, max_length=length) for length in (None, 8))
    assert whole.text_encoder.fingerprint != short.text_encoder.fingerprint
    assert whole.text_encoder.runner.cache_key == short.text_encoder.runner.cache_key


def test_the_report_is_of_the_documents_that_are_there(chain: NeuralSearchChain, tmp_path: Path) -> None:
    chain.add(["the cat", "monday"])
    chain.evaluate({"queries": {"q": "the cat"}, "qrels": {"q": {"0": 1}}}, metrics=["mrr@10"])
    chain.save(tmp_path / "index")
    assert NeuralSearchChain.load(tmp_path / "index").report == {"mrr@10": 1.0}
    chain.add(["a dog"])
    assert chain.report == {}


def test_a_query_that_is_a_document_does_not_find_itself(chain: NeuralSearchChain) -> None:
    documents = {"a": "the cat sleeps", "b": "the cat sleep", "c": "stocks fell on monday"}
    chain.add([{"id": key, "text": text} for key, text in documents.items()])
    dataset = {"queries": {"a": documents["a"]}, "qrels": {"a": {"b": 1}}}
    assert chain.evaluate(dataset, metrics=["mrr@10"]) == {"mrr@10": 1.0}


def test_a_port_in_use_is_known_before_anything_is_exported(chain: NeuralSearchChain, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            chain.deploy(tmp_path / "versions", rest_port=port)
    assert not (tmp_path / "versions").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a/b"}, "`name` must be a name without / or :"),
        ({"port": 7, "rest_port": 7}, "`port` and `rest_port` must differ"),
        ({"port": "80"}, "`port` must be a whole number from 0 to 65535"),
        ({"host": "no.such.host.invalid"}, "cannot listen on no.such.host.invalid:0"),
        ({"timeout_seconds": 0}, "`timeout_seconds` must be a number above 0"),
        ({"top_k": 0}, "`top_k` must be a whole number of at least 1"),
        ({"path": "file"}, "Received: file, where .* is not a folder"),
    ],
)
def test_a_wrong_argument_is_known_before_anything_is_encoded_or_exported(
    chain: NeuralSearchChain, options: dict, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    monkeypatch.setattr(chain, "_current", lambda *_: pytest.fail("the documents were encoded"))
    with pytest.raises(TfchainError, match=message):
        chain.deploy(**{"path": "versions", **options})
    if "path" in options or "top_k" in options:
        with pytest.raises(TfchainError, match=message):
            chain.export(**{"path": "versions", **options})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_chains_deployed_with_the_defaults_are_served_apart(
    chain: NeuralSearchChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = NeuralSearchChain(chain.tokenizer, chain.model, engine="tensorflow")
    started: list[tuple[Path, str]] = []

    def export(base_path: Path, *_: object, description: dict, **__: object) -> Path:
        version = base_path / str(next_version(base_path))
        write_json(version / DESCRIPTION, description)
        return version

    def deploy(base_path: Path, *, source: str, **_: object) -> None:
        started.append((base_path, source))

    def served() -> list[list[int]]:
        return [list(LatestOf(source)("docs", list_versions(base_path))) for base_path, source in started]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tfchain.deployment.deploy.deploy", deploy)
    monkeypatch.setattr("tfchain.chains.serving.export", export)
    chain.deploy()
    other.deploy()
    assert [base_path for base_path, _ in started] == [Path("saved_models/search")] * 2
    assert served() == [[1], [2]]  # the first server goes on with the first chain's
    chain.export()
    assert served() == [[3], [2]]  # and takes up what that one exports later


def test_evaluation_searches_the_datasets_documents_and_leaves_the_chains_alone(chain: NeuralSearchChain) -> None:
    chain.add(["mine"])
    documents = [{"id": "a", "text": "the cat sleeps"}, {"id": "b", "text": "stocks fell on monday"}]
    queries = {"q1": "the cat sleeps", "q2": "stocks fell on monday", "q3": "the cat sleeps"}
    report = chain.evaluate(
        {"queries": queries, "qrels": {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"b": 1}}, "documents": documents},
        metrics=["mrr@10", "recall@1", "ndcg@10"],
    )
    # ranks 1, 1 and 2: reciprocal 1, 1, 1/2; gain 1, 1, 1/log2(3)
    assert report["mrr@10"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert report["recall@1"] == pytest.approx(2 / 3)
    assert report["ndcg@10"] == pytest.approx((2 + 1 / np.log2(3)) / 3)
    assert [one.text for one in chain.index] == ["mine"]


def test_evaluation_without_documents_searches_the_chains_own(chain: NeuralSearchChain) -> None:
    dataset = {"queries": {"q": "the cat"}, "qrels": {"q": {"0": 1}}}
    with pytest.raises(InputError, match="nothing to search"):
        chain.evaluate(dataset)
    chain.add(["the cat", "monday"])
    assert chain.evaluate(dataset)["mrr@10"] == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda chain: chain.search(" "), "A query must not be empty"),
        (lambda chain: chain.search(3), "must be a string or a list of strings. Received: int"),
        (lambda chain: chain.search(["a", None]), "A query must be a string. Received: None"),
        (lambda chain: chain.search("a", top_k=0), "`top_k` must be a whole number of at least 1. Received: top_k=0"),
        (lambda chain: chain.encode(["a", 3]), "Each text must be a string. Received: 3"),
        (lambda chain: chain.encode(["a"], prompt_name="x"), "`prompt_name` must be one of"),
        (lambda chain: chain.remove("nobody"), "'nobody', not among the 0 documents"),
        (
            lambda chain: chain.search("a", top_k="5"),
            "must be a whole number of at least 1. Received: top_k='5'",
        ),
        (lambda chain: chain.encode(None), "`texts` must be a string or a list of strings. Received: NoneType"),
        (lambda chain: chain.encode({"a": 1}), "`texts` must be a string or a list of strings. Received: dict"),
        (lambda chain: chain.encode(["a"], batch_size=2.5), "`batch_size` must be a whole number"),
        (lambda chain: chain.remove(0), "'0', not among the 0 documents"),
        (lambda chain: chain.remove(1.5), "`ids` must be an id or a list of them. Received: float"),
        (lambda chain: chain.remove([None]), "An id must be a string or a whole number. Received: None"),
        (lambda chain: chain.remove(Path("a.txt")), "`ids` must be an id or a list of them. Received: PosixPath"),
        (lambda chain: chain.search({"a"}), r"must be a string or a list of strings. Received: set"),
        (lambda chain: chain.search({"text": "a"}), "Received: dict"),
        (lambda chain: chain.search(b"a"), "Received: bytes"),
        (lambda chain: chain.search(np.array([["a"]])), r"Received: array.* of type ndarray at position 0"),
        (
            lambda chain: chain.search(np.array([1])),
            r"A query must be a string. Received: .*1\)? of type int64 at position 0",
        ),
        (
            lambda chain: chain.save(""),
            "`path` must be the path of a file or folder, a string or a Path. Received: path=''",
        ),
        (lambda chain: chain.save(3), "`path` must be the path .* Received: path=3"),
        (lambda chain: NeuralSearchChain.load("a\0b"), "`path` must be the path"),
        (lambda chain: chain.export(name="../elsewhere"), "`name` must be a name without / or :"),
        (lambda chain: chain.export("x", top_k=0), "`top_k` must be a whole number of at least 1"),
        (lambda chain: chain.evaluate({"querys": {}}), "Received: querys"),
        (lambda chain: chain.evaluate({"queries": {}}), "of which queries and qrels are needed"),
        (lambda chain: NeuralSearchChain.from_pretrained(5), "a folder or a hub name. Received: int"),
        (lambda chain: chain.export("x", signatures="both"), "`signatures` must be 'text' or 'ids'"),
    ],
)
def test_bad_calls_are_named(chain: NeuralSearchChain, call, message: str) -> None:
    with pytest.raises(TfchainError, match=message):
        call(chain)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0}, "`learning_rate` must be a number above 0"),
        ({"learning_rate": float("nan")}, "`learning_rate` must be a number above 0"),
        ({"batch_size": 0}, "`batch_size` must be a whole number of at least 1. Received: batch_size=0"),
        ({"epochs": 1.5}, "`epochs` must be a whole number of at least 1. Received: epochs=1.5"),
        (
            {"passages": "cut"},
            "`passages` must be one of 'split', 'sentences', 'structure', 'truncate'. Received: passages='cut'",
        ),
        ({"max_length": 100_000}, "`max_length` must be at least 3 and at most"),
        ({"max_length": "12"}, "`max_length` must be a whole number of at least 3. Received: max_length='12'"),
        ({"prompts": ["query: "]}, "`prompts` must be a dict of prompts by name"),
        ({"similarity": "l2"}, "similarity"),
        ({"engine": "onnx"}, "`engine` must be one of"),
        ({"tokenizer": 5}, "`tokenizer` must be a transformers tokenizer. Received: int"),
        ({"model": 5}, "`model` must be a Keras encoder"),
    ],
)
def test_the_constructor_checks_its_arguments(thin_model_path: Path, values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        NeuralSearchChain(**{"tokenizer": thin_model_path, "model": thin_model_path, **values})


def test_a_folder_of_a_wrong_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"is not a model folder: it has no config.json"):
        NeuralSearchChain.from_pretrained(tmp_path)
    with pytest.raises(ModelFolderError, match="No model folder 'no/where'"):
        NeuralSearchChain.from_pretrained("no/where")


def test_a_keras_encoder_of_the_users_own_searches_saves_and_loads(thin_model_path: Path, tmp_path: Path) -> None:
    import keras

    from tfchain.models.encoders.pooling import Pooling

    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask"))
    pooled = Pooling(["mean"])(keras.layers.Embedding(300, 8)(ids), mask)
    model = keras.Model({"token_ids": ids, "padding_mask": mask}, pooled)
    chain = NeuralSearchChain(tokenizer=thin_model_path, model=model, engine="tensorflow")
    chain.add(["the cat sleeps", "stocks fell on monday"])
    assert chain.search("the cat sleeps").hits[0].id == "0"
    chain.save(tmp_path / "index")
    again = NeuralSearchChain.load(tmp_path / "index", engine="tensorflow")
    np.testing.assert_array_equal(again.encode(["a dog"]), chain.encode(["a dog"]))
    with pytest.raises(InputError, match="Only tfchain's own encoders can be saved for sentence-transformers"):
        chain.save_pretrained(tmp_path / "st")
    assert not (tmp_path / "st").exists()
    version = chain.export(tmp_path / "versions")
    assert version.name == "1"
    served = tf.saved_model.load(str(version)).signatures
    (ids,) = chain.text_encoder.tokenizer(["a dog"])
    found = served["embed_ids"](token_ids=tf.constant([ids]), padding_mask=tf.ones((1, len(ids)), tf.int32))
    np.testing.assert_allclose(found["embedding"][0], chain.encode("a dog"), atol=1e-6)


def test_a_chain_is_pickled_and_copied_by_its_saved_form(thin_model_path: Path, tmp_path: Path) -> None:
    """It was `cannot pickle '_thread.lock' object`."""
    chain = NeuralSearchChain.from_pretrained(
        thin_model_path, engine="tensorflow", batch_size=7, passages="truncate", prompts={"query": "who "}
    )
    chain.add([{"id": "a", "text": "the cat sleeps", "n": 1}, {"id": "gone", "text": "x"}, "stocks fell on monday"])
    chain.remove("gone")
    chain.evaluate({"queries": {"q": "the cat"}, "qrels": {"q": {"a": 1}}}, metrics=["mrr@10"])
    chain.fit_options = dataclasses.replace(chain.fit_options, progress=False)
    chain.save(tmp_path / "index")
    before = chain.search("the cat sleeps")
    for again in (pickle.loads(pickle.dumps(chain)), copy.deepcopy(chain)):
        found = again.search("the cat sleeps")
        assert (found, [hit.id for hit in found.hits]) == (before, [hit.id for hit in before.hits])
        np.testing.assert_allclose([hit.score for hit in found.hits], [hit.score for hit in before.hits], atol=1e-6)
        assert list(again.index) == list(chain.index)
        assert again.text_encoder.fingerprint == chain.text_encoder.fingerprint
        assert (again.hyperparameters, again.passages, again.report) == (
            chain.hyperparameters,
            chain.passages,
            chain.report,
        )
        assert again.fit_options == chain.fit_options
        assert again.text_encoder.runner.engine == "tensorflow"
        again.add(["more"])
        assert again.index.get("3") is not None
        assert len(chain) == 2
        assert again.save(tmp_path / f"again-{id(again)}").is_dir()
    assert pickle.loads(pickle.dumps(before)).hits == before.hits


def test_a_text_encoder_is_pickled_and_copied_by_its_saved_form(thin_model_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow", max_length=8, prompts={"query": "who "})
    for again in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder)):
        assert again.fingerprint == encoder.fingerprint
        np.testing.assert_array_equal(again.encode_query(["a dog runs"]), encoder.encode_query(["a dog runs"]))
        again.set_weights([weight + 0.1 for weight in again.own_encoder.get_weights()])
        assert again.fingerprint != encoder.fingerprint


def test_sequences_of_texts_are_asked_and_answered_with_plain_strings(chain: NeuralSearchChain) -> None:
    chain.add(["the cat", "the dog"])
    for texts in (["cat", "dog"], ("cat", "dog"), np.array(["cat", "dog"]), np.array(["cat", "dog"], dtype=object)):
        results = chain.search(texts, top_k=1)
        assert [result["text"] for result in results] == ["cat", "dog"]
        assert {type(result["text"]) for result in results} == {str}
    assert chain.search(np.str_("cat"))["text"] == "cat"
    assert chain.search([]) == []


def test_whole_numbers_are_ids_wherever_ids_are_given(chain: NeuralSearchChain) -> None:
    chain.add([{"id": 7, "text": "the cat"}, {"id": np.int64(8), "text": "a dog"}, {"id": "9", "text": "monday"}])
    dataset = {"queries": {1: "the cat"}, "qrels": {1: {7: 1}}}
    assert chain.evaluate(dataset, metrics=["mrr@10"]) == {"mrr@10": 1.0}
    chain.remove(7)
    chain.remove(np.array([8]))
    assert [one.id for one in chain.index] == ["9"]
    chain.remove({9})
    assert len(chain) == 0


def test_odd_characters_in_ids_are_kept_from_adding_to_the_exported_version(
    chain: NeuralSearchChain, tmp_path: Path
) -> None:
    import tensorflow as tf

    ids = ["a\t", "a", "a b", "你/..", "'\"\n"]
    chain.add([{"id": name, "text": f"the cat {number}"} for number, name in enumerate(ids)])
    chain.save(tmp_path / "index")
    assert [one.id for one in NeuralSearchChain.load(tmp_path / "index", engine="tensorflow").index] == ids
    loaded = tf.saved_model.load(str(chain.export(tmp_path / "versions", top_k=5)))
    found = loaded.signatures["search"](tf.constant(["the cat 0"]))["ids"].numpy()[0]
    assert {one.decode() for one in found} == set(ids)
    assert found[0].decode() == "a\t"
    chain.remove("a\t")
    assert "a" in chain.index


@pytest.mark.parametrize("kind", ["save", "export"])
def test_a_place_that_cannot_be_written_is_told_before_documents_are_encoded_again(
    chain: NeuralSearchChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    chain.add(["the cat"])
    chain.text_encoder = chain.text_encoder.with_encoder(chain.text_encoder.own_encoder)
    chain.text_encoder.prompts["document"] = "who "  # another model: the documents are stale
    (tmp_path / "file").write_text("here")
    monkeypatch.setattr("tfchain.tasks.search.live_index.make_index", lambda *_, **__: pytest.fail("encoded"))
    with pytest.raises(TfchainError, match="file"):
        getattr(chain, kind)(tmp_path / "file")
    with pytest.raises(TfchainError, match=r"file/below/it"):
        getattr(chain, kind)(tmp_path / "file" / "below" / "it")
    for wrong in ({"top_k": 0}, {"signatures": "both"}) if kind == "export" else ():
        with pytest.raises(InputError, match=next(iter(wrong))):
            chain.export(tmp_path / "versions", **wrong)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_the_home_folder_may_be_named_by_its_sign(
    chain: NeuralSearchChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    chain.add(["the cat"])
    assert chain.save("~/my index") == tmp_path / "my index"
    assert len(NeuralSearchChain.load("~/my index", engine="tensorflow")) == 1


def test_a_report_that_others_have_made_old_while_it_was_measured_is_not_kept(
    chain: NeuralSearchChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.add(["the cat", "monday"])
    dataset = {"queries": {"q": "the cat"}, "qrels": {"q": {"0": 1}}}

    def evaluate_and_add(*_: object, **__: object) -> dict[str, float]:
        chain.add(["a dog"])
        return {"mrr@10": 0.5}

    monkeypatch.setattr("tfchain.tasks.search.evaluation.evaluate_index", evaluate_and_add)
    assert chain.evaluate(dataset, metrics=["mrr@10"]) == {"mrr@10": 0.5}
    assert chain.report == {}


@pytest.mark.usefixtures("eager")
def test_a_training_makes_the_report_old(chain: NeuralSearchChain) -> None:
    chain.add(["the cat", "monday"])
    chain.evaluate({"queries": {"q": "the cat"}, "qrels": {"q": {"0": 1}}}, metrics=["mrr@10"])
    assert chain.report == {"mrr@10": 1.0}
    chain.fit([("cat", "the cat"), ("day", "monday")], epochs=1)
    assert chain.report == {}


def test_documents_pass_steps_before_they_are_added(chain: NeuralSearchChain) -> None:
    chain.add(["hush", "the cat", {"id": "x", "text": "the dog"}], steps=[Shout()])
    assert [(document.id, document.text) for document in chain.index] == [("1", "THE CAT"), ("x", "THE DOG")]
    assert chain.preparation is not None
    assert (chain.preparation.read, chain.preparation.written) == (3, 2)
    assert chain.preparation.steps[0].dropped == {"no text left": 1}
    chain.add(["a cat"])
    assert [document.id for document in chain.index] == ["1", "x", "3"]  # numbers count what was read
    with pytest.raises(InputError, match=r"`steps\[0\]`: no step is named 'shuot'"):
        chain.add(["a dog"], steps=["shuot"])
    assert len(chain) == 3
