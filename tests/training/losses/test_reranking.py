"""The losses of rerankers: sentence-transformers' values and gradients (make_reranking_fixture.py), and by hand."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.losses.graph_gradients import find_graph_gradient
from tfchain.core.errors import InputError
from tfchain.training.losses.reranking import NO_DOCUMENT, RERANKING_LOSSES, get_reranking_loss

FIXTURE = Path(__file__).parent / "fixtures" / "reranking_losses.npz"
CASES = {
    "binary_cross_entropy": {"name": "binary_cross_entropy"},
    "binary_cross_entropy_weighted": {"name": "binary_cross_entropy", "positive_weight": 3.0},
    "list_net": {"name": "list_net"},
    "lambda": {"name": "lambda"},
    "lambda_at_2": {"name": "lambda", "mu": 3.0, "k": 2, "sigma": 2.0},
    "margin_distillation": {"name": "margin_distillation"},
}


@pytest.fixture(scope="module")
def kept():
    with np.load(FIXTURE) as file:
        return dict(file)


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_equal_those_of_sentence_transformers(kept, name):
    loss, labels = get_reranking_loss(CASES[name]), kept["labels"].copy()
    if loss.name != "margin_distillation":  # theirs takes no lists of different lengths
        labels[np.arange(4)[None, :] >= kept["lengths"][:, None]] = NO_DOCUMENT
    if loss.name == "binary_cross_entropy":
        labels = np.minimum(labels, 1)
    outputs = kept["outputs"][:, :, None]
    value, gradient = find_graph_gradient(loss, {"labels": labels}, outputs)

    for one in (value, loss({"labels": labels}, outputs)):
        np.testing.assert_allclose(one, kept[f"{name}.loss"], rtol=1e-5)
    np.testing.assert_allclose(gradient[:, :, 0], kept[f"{name}.gradient"], atol=1e-5)


def test_listwise_softmax_by_hand():
    labels = np.array([[1, 0, 0], [1, 1, NO_DOCUMENT], [0, 0, 0]], "float32")
    outputs = np.array([[2, 1, 0], [1, 3, 9], [1, 2, 3]], "float32")[:, :, None]
    first = np.log(1 + np.exp(-1) + np.exp(-2))
    second = (np.log(1 + np.exp(2)) + np.log(1 + np.exp(-2))) / 2  # the third place holds no document

    found = get_reranking_loss("listwise_softmax").call({"labels": labels}, outputs)

    np.testing.assert_allclose(found, [first, second, 0], rtol=1e-5)


@pytest.mark.parametrize("name", RERANKING_LOSSES)
def test_a_loss_survives_its_configuration_and_runs_in_a_graph_in_half_precision(name):
    loss = get_reranking_loss(name)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    labels = np.array([[1, 0], [1, NO_DOCUMENT]], "float32")
    outputs = tf.constant([[[0.5], [0.25]], [[1.0], [9.0]]])

    run = tf.function(lambda values: again({"labels": labels}, values))

    np.testing.assert_allclose(run(tf.cast(outputs, "float16")), loss({"labels": labels}, outputs), rtol=1e-3)
    assert run(outputs).dtype == "float32"
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("choice", "columns", "labels", "message"),
    [
        ("list_net", 1, [[1.0]], "compares the documents of a query. Found 1 document"),
        ("binary_cross_entropy", 2, [[1.0, 0.5], [0.0, 2.0]], "from 0 to 1"),
        ("lambda", 2, [[1.0, -1.0]], "from 0 to 30"),
        ("margin_distillation", 3, [[1.0]], "a label for each of 3 documents a row. Found 1"),
        ("list_net", 2, None, "needs labels"),
    ],
)
def test_rows_that_do_not_suit_a_loss(choice, columns, labels, message):
    with pytest.raises(InputError, match=message):
        get_reranking_loss(choice).check(columns, None if labels is None else np.array(labels, "float32"))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("cosent", "must be one of binary_cross_entropy, listwise_softmax"),
        ({"name": "lambda", "kk": 3}, "does not take these arguments"),
        ({"name": "lambda", "mu": -1}, "`mu` must be a finite number of at least 0"),
        (5, "must be one of"),
    ],
)
def test_choices_that_are_no_losses(choice, message):
    with pytest.raises(InputError, match=message):
        get_reranking_loss(choice)
