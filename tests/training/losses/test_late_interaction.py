"""The loss of late interaction beside the same sums written out in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.losses.graph_gradients import find_graph_gradient
from tfchain.core.errors import InputError
from tfchain.training.losses.late_interaction import LateInteraction
from tfchain.training.losses.reranking import ListNet

ROWS, COLUMNS, TOKENS, DIM = 3, 3, 4, 2


@pytest.fixture
def tokens() -> np.ndarray:
    """Token vectors; the last of each text is none, and a query has two."""
    made = np.random.default_rng(1).normal(size=(ROWS, COLUMNS, TOKENS, DIM)).astype("float32")
    made[:, :, -1] = 0
    made[:, 0, 2:] = 0
    return made


def max_sim(query: np.ndarray, document: np.ndarray) -> float:
    document = document[document.any(axis=1)]
    return sum(max(float(token @ other) for other in document) for token in query if token.any())


def flatten(tokens: np.ndarray) -> tf.Tensor:
    return tf.constant(tokens.reshape(ROWS, COLUMNS, TOKENS * DIM))


def test_in_batch_a_query_finds_its_document_among_all(tokens: np.ndarray) -> None:
    loss = LateInteraction(DIM, scale=2.0)
    documents = [tokens[row, column] for column in (1, 2) for row in range(ROWS)]
    scores = 2 * np.array([[max_sim(tokens[row, 0], document) for document in documents] for row in range(ROWS)])
    masked = np.zeros((ROWS, len(documents)), "float32")
    expected = np.log(np.exp(scores).sum(axis=1)) - np.diag(scores[:, :ROWS])
    np.testing.assert_allclose(loss.call({"masked": masked}, flatten(tokens)), expected, rtol=1e-5)
    np.testing.assert_allclose(loss.call({}, flatten(tokens)), expected, rtol=1e-5)
    masked[0, 4] = 1  # row 1's negative answers query 0 too
    first = np.log(np.exp(np.delete(scores[0], 4)).sum()) - scores[0, 0]
    np.testing.assert_allclose(loss.call({"masked": masked}, flatten(tokens))[0], first, rtol=1e-5)


def test_a_rerankers_loss_takes_the_scores_of_the_rows_documents(tokens: np.ndarray) -> None:
    labels = np.array([[1, 0], [0.2, 3], [2, 2]], "float32")
    scores = np.array([[max_sim(row[0], row[1]), max_sim(row[0], row[2])] for row in tokens], "float32")
    expected = ListNet().call({"labels": labels}, scores[..., None])
    for loss in (LateInteraction(DIM, "list_net"), LateInteraction(DIM, {"name": "list_net"}, query_vectors=2)):
        np.testing.assert_allclose(loss.call({"labels": labels}, flatten(tokens)), expected, rtol=1e-5)


def test_a_gradient_flows_to_the_best_token_alone(tokens: np.ndarray) -> None:
    vectors, labels = flatten(tokens), {"labels": np.array([[1, 0], [0.2, 3], [2, 2]], "float32")}
    for loss, truth in ((LateInteraction(DIM), {}), (LateInteraction(DIM, "list_net"), labels)):
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            value = loss(truth, vectors)
        found = tape.gradient(value, vectors)
        np.testing.assert_allclose(find_graph_gradient(loss, truth, vectors)[1], found, atol=1e-6)
        gradient = np.reshape(found, tokens.shape)
        assert np.isfinite(gradient).all()
        assert not gradient[:, 1:, -1].any()  # what is no token
        assert gradient[:, 0, :2].any()


@pytest.mark.parametrize("loss", ["in_batch", {"name": "lambda", "mu": 4.0}])
def test_a_loss_survives_its_configuration(loss: object) -> None:
    made = LateInteraction(DIM, loss, scale=3.0, query_vectors=2)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert again.get_config() == made.get_config()


def test_rows_that_do_not_suit_it() -> None:
    with pytest.raises(InputError, match="takes a query and its documents. Found 1 column"):
        LateInteraction(DIM).check(1, None)
    with pytest.raises(InputError, match="with loss='in_batch' takes no labels"):
        LateInteraction(DIM).check(3, np.zeros((2, 2)))
    with pytest.raises(InputError, match="takes a label for each of 2 documents"):
        LateInteraction(DIM, "list_net").check(3, np.zeros((2, 3)))
    with pytest.raises(InputError, match="matrices of vectors of 2 numbers"):
        LateInteraction(DIM).check_vectors(7, None)
    with pytest.raises(InputError, match="The loss of a reranker must be one of"):
        LateInteraction(DIM, "cosent")
