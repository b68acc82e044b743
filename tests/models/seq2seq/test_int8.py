"""An encoder in 8-bit numbers gives nearly what it gives in float32, whatever else is in its batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.deployment.op_check import check_ops
from tfchain.models.engines.int8_product import has_int8_products
from tfchain.models.seq2seq.decoding import Decoding
from tfchain.models.seq2seq.graph import TranslationGraph
from tfchain.models.seq2seq.int8 import DynamicProduct
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel

Load = Callable[[str], tuple[Seq2SeqModel, dict[str, Any]]]


@pytest.fixture(autouse=True)
def needs_int8() -> None:
    if not has_int8_products():
        pytest.skip("TensorFlow computes no exact int8 products on this processor")


def test_a_product_of_small_whole_numbers_is_exact() -> None:
    # With 127 in each row and column, the steps are 1.
    kernel = np.array([[127, 0, -127], [1, 127, 2]], "float32")
    rows = np.array([[127, -3], [0, 0]], "float32")
    found = DynamicProduct(kernel, np.array([0.5, 0, 0], "float32"))(tf.constant(rows))
    np.testing.assert_allclose(found, rows @ kernel + [0.5, 0, 0], rtol=1e-5, atol=1e-3)


def test_rows_do_not_depend_on_their_batch() -> None:
    generator = np.random.default_rng(0)
    product = DynamicProduct(generator.normal(size=(16, 24)).astype("float32"))
    rows = generator.normal(size=(3, 5, 16)).astype("float32") * np.array([1, 100, 0.01])[:, None, None]
    whole = product(tf.constant(rows, tf.float32)).numpy()
    np.testing.assert_array_equal(product(tf.constant(rows[2], tf.float32)), whole[2])
    assert whole.shape == (3, 5, 24)


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")  # of one token, the first
def test_logits_are_near_those_of_float32(load_small: Load, eager: None) -> None:
    model, content = load_small("marian")
    small = model.with_precision("int8")
    assert small.with_precision("int8") is small
    assert small.plain() is model
    source = tf.constant(content["sources"][:1])
    mask, target = tf.ones_like(source), tf.constant([[model.transformer.config.decoder_start_token_id]])
    logits = []
    for one in (model, small):
        decoding = Decoding(one.transformer, source, mask, num_beams=1)
        logits.append(decoding.step(target, decoding.start())[0].numpy()[0])
    cosine = logits[0] @ logits[1] / np.linalg.norm(logits[0]) / np.linalg.norm(logits[1])
    assert 0.99 < cosine < 1 - 1e-7


def test_an_int8_model_is_saved_loaded_and_served(tmp_path: Path, load_small: Load) -> None:
    model, content = load_small("nllb")
    small = model.with_precision("int8")
    texts = content["texts"][:3]
    choices: dict[str, Any] = {"num_beams": 2, "max_length": 8}
    expected = small.translate(texts, **choices)
    assert small.fingerprint != model.fingerprint
    (tmp_path / "saved").mkdir()
    small.save(tmp_path / "saved")
    again = Seq2SeqModel.from_pretrained(tmp_path / "saved")
    assert (again.precision, again.fingerprint) == ("int8", small.fingerprint)
    assert again.translate(texts, **choices) == expected
    graph = TranslationGraph(small, options=small.options.replace(**choices))
    tf.saved_model.save(graph.module, str(tmp_path / "graph"), signatures=graph.signatures["translate"])
    check_ops(tmp_path / "graph")
    found = tf.saved_model.load(str(tmp_path / "graph")).signatures["serving_default"](text=tf.constant(texts))
    assert [text.decode() for text in found["translation"].numpy()] == expected
    sizes = []
    for name, one in (("float", model), ("int8", small)):
        (tmp_path / name).mkdir()
        one.write_served_files(tmp_path / name)
        sizes.append((tmp_path / name / "model.safetensors").stat().st_size)
    assert sizes[1] < sizes[0]


def test_an_int8_model_is_not_changed(load_small: Load) -> None:
    small = load_small("nllb")[0].with_precision("int8")
    with pytest.raises(InputError, match="A model in int8 cannot be changed"):
        small.set_weights([])
    with pytest.raises(InputError, match="`precision` must be 'float32' or 'int8'"):
        small.with_precision("bfloat16")
