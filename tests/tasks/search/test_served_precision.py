"""Versions of chains in a precision: what the SavedModel computes with, and the flatbuffer beside it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tfchain import Quantize
from tfchain.chains.search import NeuralSearchChain
from tfchain.core.errors import InputError
from tfchain.tasks.search.search_graph import make_search_graph

pytestmark = pytest.mark.usefixtures("empty_cache")

MORE_DOCUMENTS = [f"the {one} sleeps on monday, a dog runs {one}" for one in ("cat", "stock", "dog", "who", "do", "on")]
DOCUMENTS = ["the cat sleeps. " * 20 + "stocks fell on monday.", "你好，我是一个智能助手", "who does what"]
TEXTS = ["stocks fell on monday", "你好", "a dog"]


def make_chain(path: Path, precision: str) -> NeuralSearchChain:
    chain = NeuralSearchChain.from_pretrained(path)
    chain.text_encoder = chain.text_encoder.with_precision(precision)
    return chain.add(DOCUMENTS)


def describe(version: Path) -> dict:
    return json.loads((version / "assets.extra" / "tfchain.json").read_text())


def product_types(version: Path) -> set[str]:
    model = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    (graph,) = [meta.graph_def for meta in model.meta_graphs]
    types = {
        (types_pb2.DataType.Name(node.attr["T"].type), "layer_" in node.name)
        for function in graph.library.function
        for node in function.node_def
        if node.op == "MatMul"
    }
    return {name for name, in_layer in types if in_layer}


def test_a_bfloat16_chain_serves_bfloat16_products_and_float32_outputs(
    wide_thin_model_path: Path, tmp_path: Path
) -> None:
    chain = make_chain(wide_thin_model_path, "bfloat16")
    version = chain.export(tmp_path / "search", top_k=2)  # compared with the chain before it appeared
    assert product_types(version) == {"DT_BFLOAT16"}
    assert describe(version)["precision"] == "bfloat16"
    assert describe(version)["fingerprint"] == chain.text_encoder.fingerprint
    assert describe(version)["signatures"] == ["embed", "embed_ids", "search", "serving_default", "tokenize"]
    assert describe(version)["oldest_server"] == "2.8"
    assert not (version / "model.tflite").exists()
    loaded = tf.saved_model.load(str(version))
    embedding = loaded.signatures["embed"](tf.constant(TEXTS))["embedding"]
    assert embedding.dtype == tf.float32
    np.testing.assert_allclose(embedding, chain.encode(TEXTS), atol=1e-2)
    np.testing.assert_allclose(embedding, chain.text_encoder.with_precision("float32").encode(TEXTS), atol=2e-2)
    answers = loaded.signatures["serving_default"](tf.constant(TEXTS))
    assert answers["scores"].dtype == tf.float32
    half = sum(one.stat().st_size for one in (version / "variables").iterdir())
    whole = chain.text_encoder.encoder.count_params() * 4
    assert half < 0.75 * whole


@pytest.mark.usefixtures("int8_products")
def test_an_int8_chain_serves_int8_products_calibrated_on_its_documents(
    wide_thin_model_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain = make_chain(wide_thin_model_path, "int8").add(MORE_DOCUMENTS)
    version = chain.export(tmp_path / "search", top_k=2)
    assert "The version computes in int8. Its products are oneDNN's" in caplog.text
    described = describe(version)
    assert described["precision"] == "int8"
    assert "AVX-512 VNNI" in described["needs"]
    assert described["tflite"]["precision"] == "int8"
    assert (version / "model.tflite").is_file()
    assert described["oldest_server"] == "2.8"
    assert "QuantizedMatMulWithBiasAndDequantize" in described["ops"]
    assert product_types(version) == set()  # no float product in a layer
    assert not [op for op in described["ops"] if op.startswith(("_", "Xla"))]  # no internal op, nothing of XLA

    whole = make_chain(wide_thin_model_path, "float32").add(MORE_DOCUMENTS)
    loaded = tf.saved_model.load(str(version))
    embedding = loaded.signatures["embed"](tf.constant(TEXTS))["embedding"].numpy()
    assert 1e-4 < np.abs(embedding - whole.encode(TEXTS)).max() < 5e-2
    vectors = loaded.vectors.numpy()
    assert 1e-4 < np.abs(vectors - whole.index.vectors.vectors).max() < 5e-2
    best = np.sort(embedding @ vectors.T)[:, :-3:-1]
    answers = loaded.signatures["serving_default"](tf.constant(TEXTS))
    np.testing.assert_allclose(answers["scores"], best, atol=1e-4)
    weights = sum(one.stat().st_size for one in (version / "variables").iterdir())
    assert weights < 0.5 * whole.text_encoder.encoder.count_params() * 4


@pytest.mark.usefixtures("int8_products")
def test_a_calibrated_chain_is_served_as_it_is_and_survives_save_load_and_fit(
    wide_thin_model_path: Path, tmp_path: Path
) -> None:
    chain = NeuralSearchChain.from_pretrained(wide_thin_model_path).add(DOCUMENTS + MORE_DOCUMENTS)
    chain.compress(Quantize("int8", calibrated=True))
    vectors = chain.encode(TEXTS)
    again = NeuralSearchChain.load(chain.save(tmp_path / "index"))
    assert again.text_encoder.calibration == chain.text_encoder.calibration
    assert again.text_encoder.fingerprint == chain.text_encoder.fingerprint
    np.testing.assert_allclose(again.encode(TEXTS), vectors, atol=1e-6)

    version = chain.export(tmp_path / "search", top_k=2)
    assert not (version / "model.tflite").exists()
    assert describe(version)["fingerprint"] == chain.text_encoder.fingerprint
    loaded = tf.saved_model.load(str(version))
    np.testing.assert_allclose(loaded.signatures["embed"](tf.constant(TEXTS))["embedding"], vectors, atol=1e-5)
    np.testing.assert_array_equal(loaded.vectors, chain.index.vectors.vectors)

    fit(chain)
    assert chain.text_encoder.calibration == again.text_encoder.calibration
    trained = chain.text_encoder.with_precision("float32").encode(TEXTS)
    assert np.abs(trained - vectors).max() > 0.05
    assert np.abs(chain.encode(TEXTS) - trained).max() < 2e-2  # ranges were measured anew


@pytest.mark.usefixtures("int8_products")
def test_where_onednn_is_off_an_int8_version_does_not_load(wide_thin_model_path: Path, tmp_path: Path) -> None:
    version = make_chain(wide_thin_model_path, "int8").add(MORE_DOCUMENTS).export(tmp_path / "search")
    code = f"""if True:
        from tfchain.core.errors import ExportError, TfchainError
        from tfchain.deployment.export import check_proofs
        from tfchain.models.engines.int8_product import check_int8_products
        try:
            check_proofs({str(version)!r}, [])
        except ExportError as error:
            print("load:", error)
        try:
            check_int8_products()
        except TfchainError as error:
            print("check:", error)
    """
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert "load: The exported version does not run as TensorFlow Serving would run it" in done.stdout, done.stderr
    assert "check: TensorFlow computes int8 products through oneDNN, which is off" in done.stdout


@pytest.mark.parametrize("precision", ["int8", "float16"])
def test_the_quantized_encoder_lies_beside_a_float32_model_with_documents_of_its_own(
    precision: str, wide_thin_model_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain = make_chain(wide_thin_model_path, precision)
    chain.report = {"ndcg@10": 0.5}
    before = chain.index.vectors.vectors.copy()
    version = chain.export(tmp_path / "search", top_k=2)
    assert "--prefer_tflite_model serves only that file, and so only token ids" in caplog.text
    assert "it also needs --enable_model_warmup=false" in caplog.text

    interpreter = tf.lite.Interpreter(model_path=str(version / "model.tflite"))
    run = interpreter.get_signature_runner("embed_ids")
    litert = chain.text_encoder.with_precision(precision, engine="litert")
    for text in TEXTS:
        (ids,) = chain.text_encoder.tokenizer([text])
        token_ids = np.array([ids], "int32")
        found = run(token_ids=token_ids, padding_mask=np.ones_like(token_ids))["embedding"]
        np.testing.assert_allclose(found[0], litert.encode(text), atol=1e-6)
        np.testing.assert_allclose(found[0], chain.encode(text), atol=2e-2)

    whole = make_chain(wide_thin_model_path, "float32")
    loaded = tf.saved_model.load(str(version))
    np.testing.assert_allclose(loaded.vectors, whole.index.vectors.vectors, atol=1e-5)
    answers = loaded.signatures["serving_default"](tf.constant(TEXTS))
    expected = [[hit.score for hit in result.hits] for result in whole.search(TEXTS, top_k=2)]
    np.testing.assert_allclose(answers["scores"], expected, atol=1e-5)

    described = describe(version)
    assert (described["precision"], described["fingerprint"]) == ("float32", whole.text_encoder.fingerprint)
    assert described["tflite"] == {
        "file": "model.tflite",
        "precision": precision,
        "fingerprint": chain.text_encoder.fingerprint,
        "signatures": ["embed_ids"],
    }
    assert described["report"] == {}  # it was of the quantized vectors
    assert set(described["signatures"]) - {"embed", "embed_ids", "search", "serving_default"} == {
        *("tokenize", "tokenize_query", "search_vectors")
    }
    assert chain.report == {"ndcg@10": 0.5}
    np.testing.assert_array_equal(chain.index.vectors.vectors, before)


def test_a_graph_of_an_int8_encoder_is_refused(wide_thin_model_path: Path) -> None:
    chain = make_chain(wide_thin_model_path, "int8")
    with pytest.raises(InputError, match="in float32, bfloat16 or calibrated int8. Received: .* in int8"):
        make_search_graph(chain.text_encoder, chain.index)


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_vectors_of_another_precision_are_encoded_again_and_never_mixed(
    precision: str, wide_thin_model_path: Path, tmp_path: Path
) -> None:
    chain = make_chain(wide_thin_model_path, "float32")
    chain.save(tmp_path / "index")
    floats = chain.index.vectors.vectors.copy()
    chain.text_encoder = chain.text_encoder.with_precision(precision)
    assert chain.is_stale
    chain.search("who")
    assert not chain.is_stale
    assert np.abs(chain.index.vectors.vectors - floats).max() > 1e-4

    chain.save(tmp_path / "index")
    again = NeuralSearchChain.load(tmp_path / "index")
    assert again.text_encoder.precision == precision
    assert not again.is_stale
    assert len(list((tmp_path / "index").glob("model-*"))) == 1


def fit(chain: NeuralSearchChain) -> NeuralSearchChain:
    pairs = [("who", "what does a dog do"), ("cat", "the cat sleeps"), ("stock", "stocks fell on monday")]
    tf.config.run_functions_eagerly(True)  # three steps: tracing takes longer
    try:
        chain.fit(pairs, batch_size=3, epochs=3, learning_rate=0.01)
    finally:
        tf.config.run_functions_eagerly(False)
    return chain


@pytest.fixture(scope="module")
def trained_float_chain(wide_thin_model_path: Path) -> NeuralSearchChain:
    return fit(make_chain(wide_thin_model_path, "float32"))


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_a_second_fit_trains_the_float_weights_and_keeps_the_precision(
    precision: str, wide_thin_model_path: Path, trained_float_chain: NeuralSearchChain
) -> None:
    chain, whole = make_chain(wide_thin_model_path, precision), trained_float_chain
    vectors = chain.encode(TEXTS)
    fit(chain)
    assert chain.text_encoder.precision == precision
    for weight, same in zip(chain.model.weights, whole.model.weights, strict=True):
        assert weight.dtype == "float32"
        np.testing.assert_allclose(weight, same, atol=1e-5)  # as if there had been no other precision
    assert np.abs(chain.encode(TEXTS) - vectors).max() > 0.05
    np.testing.assert_allclose(chain.encode(TEXTS), whole.encode(TEXTS), atol=0.02)
