"""What every loss must do: the same tests for all of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.training.losses import LOSSES, PairLoss, get_loss

ROWS, DIM = 4, 6
# Each loss by its name: what makes it, how many columns it is called with, and its labels.
BINARY = np.array([[1], [0], [1], [0]], "float32")
SCORES = np.array([[0.9], [0.1], [-0.4], [0.1]], "float32")
CONTRACT = {
    "in_batch_softmax": ({"scale": 3.0, "directions": "both", "similarity": "dot"}, 3, None),
    "guided_in_batch_softmax": (
        {
            "temperature": 0.3,
            "margin_strategy": "relative",
            "margin": 0.1,
            "contrast_queries": False,
            "contrast_positives": True,
        },
        4,
        None,
    ),
    "triplet": ({"distance": "manhattan", "margin": 3.0}, 4, None),
    "contrastive": ({"distance": "euclidean", "margin": 5.0}, 2, BINARY),
    "online_contrastive": ({"distance": "euclidean", "margin": 5.0}, 2, 1 - BINARY),
    "cosent": ({"scale": 7.0}, 2, SCORES),
    "angle": ({"scale": 7.0}, 2, SCORES),
    "cosine_mse": ({}, 2, SCORES),
    "margin_mse": ({"similarity": "cosine"}, 3, SCORES),
    "kl_divergence": (
        {"temperature": 2.0, "teacher_temperature": 0.5, "similarity": "cosine"},
        3,
        np.concatenate([SCORES, 1 - SCORES], axis=1),
    ),
    "embed_distill": ({"distance": "l2", "target": "first"}, 2, None),
    "score_distill": ({"temperature": 0.3}, 2, None),
    "simcse": ({"scale": 3.0}, 2, None),
    "matryoshka": ({"loss": {"name": "cosent", "scale": 9.0}, "dims": [6, 2], "weights": [1.0, 0.5]}, 2, SCORES),
    "spread_out": (
        {
            "loss": {"name": "in_batch_softmax", "scale": 3.0, "directions": "all", "hardness": "all_negatives"},
            "mean_weight": 2.0,
            "second_moment_weight": 3.0,
            "aggregation": "sum",
            "similarity": "cosine",
        },
        4,
        None,
    ),
}
LEARNS_FROM_LABELS = [name for name, (_, _, labels) in CONTRACT.items() if labels is not None]
TAKES_NO_LABELS = [name for name, (_, _, labels) in CONTRACT.items() if labels is None]
# XLA takes half a second to compile each: those with comparisons, ranges or shapes that it might not take.
RUN_UNDER_XLA = (
    "in_batch_softmax",
    "guided_in_batch_softmax",
    "online_contrastive",
    "angle",
    "score_distill",
    "spread_out",
)


@pytest.fixture(params=CONTRACT)
def name(request):
    return request.param


@pytest.fixture
def loss(name):
    return get_loss({"name": name, **CONTRACT[name][0]})


@pytest.fixture
def y_true(name, loss):
    random = np.random.default_rng(5)
    entries = {"masked": np.zeros((ROWS, ROWS * (CONTRACT[name][1] - 1)), "float32")}
    if CONTRACT[name][2] is not None:
        entries["labels"] = CONTRACT[name][2]
    if loss.needs_guide:
        guide_dim = DIM if name == "embed_distill" else 3
        entries["guide"] = random.normal(size=(ROWS, CONTRACT[name][1], guide_dim)).astype("float32")
    return entries


@pytest.fixture
def vectors(name):
    return np.random.default_rng(7).normal(size=(ROWS, CONTRACT[name][1], DIM)).astype("float32")


def gradient_of(loss, y_true, vectors):
    vectors = tf.constant(vectors)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        value = loss(y_true, vectors)
    return value, tape.gradient(value, vectors)


def make_graph(loss, y_true, vectors, *, jit_compile):
    """The loss as a function of batches of any size."""
    signature = {
        key: tf.TensorSpec([None, None if key == "masked" else value.shape[1], *value.shape[2:]])
        for key, value in y_true.items()
    }
    return tf.function(
        lambda *given: loss(*given),
        input_signature=[signature, tf.TensorSpec([None, *vectors.shape[1:]])],
        jit_compile=jit_compile,
    )


def test_the_contract_names_every_loss():
    assert set(CONTRACT) == set(LOSSES)


def test_a_loss_bears_the_name_that_makes_it(name, loss):
    assert type(loss) is LOSSES[name]
    assert loss.name == name


def test_a_loss_survives_its_configuration(loss, y_true, vectors):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))

    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert float(again(y_true, vectors)) == float(loss(y_true, vectors))


def test_the_configuration_holds_the_arguments_that_were_given(name, loss):
    given = {key: value for key, value in CONTRACT[name][0].items() if key != "loss"}

    assert {key: loss.get_config()[key] for key in given} == given


def test_a_loss_computes_in_float32_whatever_comes(loss, y_true, vectors):
    halves = tf.cast(vectors, "bfloat16")

    value = loss.call(y_true, halves)

    assert value.dtype == tf.float32
    assert value.shape in ((), (ROWS,))
    assert loss(y_true, halves).dtype == tf.float32
    np.testing.assert_array_equal(value, loss.call(y_true, tf.cast(halves, "float32")))


@pytest.mark.parametrize(
    "form", ["all texts the same", "each row's texts the same", "zeros", "one zero", "tiny", "opposite"]
)
def test_gradients_are_finite_where_vectors_coincide_or_vanish(loss, y_true, vectors, form):
    if form == "all texts the same":
        vectors = np.broadcast_to(vectors[:1, :1], vectors.shape)
    elif form == "each row's texts the same":
        vectors = np.broadcast_to(vectors[:, :1], vectors.shape)
    elif form == "zeros":
        vectors = np.zeros_like(vectors)
    elif form == "one zero":
        vectors[1, 1] = 0.0
    elif form == "tiny":
        vectors = vectors * np.float32(1e-22)
    else:
        vectors = vectors[:, :1] * np.where(np.arange(vectors.shape[1]) % 2, -1, 1)[None, :, None].astype("float32")

    value, gradient = gradient_of(loss, y_true, vectors)

    assert np.isfinite(float(value))
    assert np.all(np.isfinite(gradient))


def test_a_loss_runs_in_a_graph_of_unknown_batch_size(loss, y_true, vectors):
    graph = make_graph(loss, y_true, vectors, jit_compile=False)

    np.testing.assert_allclose(graph(y_true, vectors), loss(y_true, vectors), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", RUN_UNDER_XLA)
def test_a_loss_runs_under_xla(loss, y_true, vectors):
    graph = make_graph(loss, y_true, vectors, jit_compile=True)

    np.testing.assert_allclose(graph(y_true, vectors), loss(y_true, vectors), rtol=1e-5, atol=1e-6)


def test_a_step_of_an_optimizer_lowers_the_loss(loss, y_true, vectors):
    weights = keras.Variable(vectors)
    optimizer = keras.optimizers.SGD(learning_rate=1e-3)
    before, gradient = gradient_of(loss, y_true, weights.value)

    optimizer.apply([gradient], [weights])

    assert float(loss(y_true, weights.value)) < float(before)


def test_a_mask_of_zeros_changes_nothing(loss, y_true, vectors):
    without = {key: value for key, value in y_true.items() if key != "masked"}

    np.testing.assert_array_equal(loss.call(y_true, vectors), loss.call(without, vectors))


def test_what_a_loss_needs_and_does_not_get_is_named(loss, y_true, vectors):
    for key in set(y_true) - {"masked"}:
        without = {other: value for other, value in y_true.items() if other != key}
        with pytest.raises(InputError, match=f"needs `{key}` in `y_true`. Received: masked."):
            loss(without, vectors)


def test_a_dataset_that_suits_the_loss_passes_its_check(name, loss):
    loss.check(1 if name == "simcse" else CONTRACT[name][1], CONTRACT[name][2])


def test_too_few_columns_are_an_error_that_names_both_numbers(loss):
    with pytest.raises(
        InputError, match=f"takes .*{loss.min_columns}.* of text .* Found {loss.min_columns - 1}. Give rows"
    ):
        loss.check(loss.min_columns - 1, None)


def test_too_many_columns_are_an_error_where_there_is_a_limit(loss):
    if loss.max_columns is None:
        loss.check(
            30, None if loss.labels == "none" else np.ones((2, 29 if loss.labels in ("margin", "scores") else 1))
        )
        return
    with pytest.raises(InputError, match=f"takes exactly {loss.max_columns} column.* Found {loss.max_columns + 1}."):
        loss.check(loss.max_columns + 1, None)


def test_labels_that_are_no_finite_numbers_are_an_error_with_the_row(name, loss):
    columns = 1 if name == "simcse" else CONTRACT[name][1]
    labels = np.ones((3, 1)) if CONTRACT[name][2] is None else CONTRACT[name][2].copy()
    labels[2, 0] = np.nan
    with pytest.raises(InputError, match="must be finite numbers. Received: nan in row 2 .* 1 such labels"):
        loss.check(columns, labels)
    with pytest.raises(InputError, match="must be numbers. Received: an array of <U3."):
        loss.check(columns, labels.astype("U3"))


@pytest.mark.parametrize("name", LEARNS_FROM_LABELS)
def test_missing_labels_are_an_error(name, loss):
    with pytest.raises(InputError, match="needs labels: .* Found none."):
        loss.check(CONTRACT[name][1], None)


@pytest.mark.parametrize("name", LEARNS_FROM_LABELS)
def test_labels_of_another_width_are_an_error(name, loss):
    with pytest.raises(InputError, match="Found 5 numbers a row."):
        loss.check(CONTRACT[name][1], np.ones((4, 5)))


@pytest.mark.parametrize("name", TAKES_NO_LABELS)
def test_labels_that_the_loss_would_ignore_are_an_error(loss):
    loss.check(loss.min_columns, np.ones((4, 1)))
    with pytest.raises(
        InputError, match="takes no labels: to it every row is a positive. Found 1 numbers a row, not all"
    ):
        loss.check(loss.min_columns, BINARY)


def test_a_loss_of_ones_own_takes_part():
    @keras.saving.register_keras_serializable("test")
    class FirstNumber(PairLoss):
        def __init__(self):
            super().__init__("first_number")

        def call(self, y_true, y_pred):
            return y_pred[:, 0, 0]

    assert float(get_loss(FirstNumber())({}, np.array([[[2.0]], [[4.0]]]))) == 3.0
