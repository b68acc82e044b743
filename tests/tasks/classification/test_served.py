"""Versions of quantized classifiers: what the SavedModel computes with, and the flatbuffer beside it."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfchain import Quantize, TextClassificationChain
from tfchain.deployment.server.servables.litert import add_litert
from tfchain.deployment.server.servables.saved_model import LoadOptions, load_saved_model
from tfchain.tasks.text_graph import to_array

pytestmark = pytest.mark.usefixtures("empty_cache")

WORDS = ("cat", "dog", "stock", "who", "do", "on")
ROWS = [(f"the {word} sleeps on monday", "sleep") for word in WORDS] + [(f"a {word} runs", "run") for word in WORDS]
TEXTS = ["the cat sleeps", "a dog runs on monday", "stocks run"]


@pytest.mark.usefixtures("int8_products")
def test_an_int8_classifier_is_served_in_int8_and_by_litert_between_the_halves(
    wide_thin_model_path: Path, tmp_path: Path
) -> None:
    chain = TextClassificationChain.from_pretrained(wide_thin_model_path, engine="tensorflow").fit_head(ROWS)
    whole = [dict(one.scores) for one in chain.predict(TEXTS)]
    chain.text_encoder = chain.text_encoder.with_precision("float32", engine="auto")
    chain.compress([Quantize("int8")])
    version = chain.export(tmp_path / "version")  # compared with Python, the halves and the flatbuffer too
    described = json.loads((version / "assets.extra" / "tfchain.json").read_text())
    assert (described["precision"], described["tflite"]["precision"]) == ("int8", "int8")
    assert described["halves"]["serving_default"] == {
        "tokenize": "classify_text_tokenize",
        "answer": "classify_text_outputs",
    }
    answers = tf.saved_model.load(str(version)).signatures["serving_default"](tf.constant(TEXTS))
    for names, scores, expected in zip(answers["labels"].numpy(), answers["scores"].numpy(), whole, strict=True):
        np.testing.assert_allclose(scores, [expected[name.decode()] for name in names], atol=0.05)

    saved_model = load_saved_model(version, LoadOptions())
    servable = add_litert(saved_model, version, LoadOptions(tflite_interpreters=1))
    try:
        assert "classify_text" in servable.halves
        signature = servable.signatures["classify_text"]
        names, scores = servable.run(signature, {"text": to_array(TEXTS)}, ["labels", "scores"])
        assert servable.num_failures == 0
    finally:
        servable.close()
    litert = chain.text_encoder.with_precision("int8", engine="litert")
    expected = chain.state.to_probabilities(litert.encode(TEXTS))
    for row, values, probabilities in zip(names, scores, expected, strict=True):
        order = [chain.labels.index(name.decode()) for name in row]
        np.testing.assert_allclose(values, probabilities[order], atol=1e-5)
