"""Rows of tokens and back, in few ops."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.encoders.rows import Dropout, EmbeddingTable, TextSize, as_rows, list_places
from tfchain.models.engines.tensorflow_engine import make_function

VALUES = np.arange(24, dtype="float32").reshape(2, 3, 4)


@pytest.mark.parametrize("shape", [(2, 3), (2, None), (None, 3), (None, None)])
def test_rows_are_put_back_whatever_a_graph_knows_of_the_size(shape: tuple[int | None, int | None]) -> None:
    @tf.function(input_signature=[tf.TensorSpec((*shape, 4))], autograph=False)
    def there_and_back(hidden: tf.Tensor) -> tf.Tensor:
        made = TextSize(hidden).reshape(as_rows(hidden), 2, 2)
        assert made.shape.as_list() == [*shape, 2, 2]
        return made

    np.testing.assert_array_equal(there_and_back(VALUES), VALUES.reshape(2, 3, 2, 2))


def test_no_text_has_no_rows() -> None:
    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, 4))], autograph=False)
    def put_back(token_ids: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return TextSize(token_ids).reshape(rows, 4)

    for shape in ((0, 3), (0, 0), (2, 0)):
        assert put_back(np.zeros(shape, "int32"), np.zeros((0, 4), "float32")).shape == (*shape, 4)


def test_places_count_from_zero_eagerly_and_in_a_graph() -> None:
    token_ids = np.zeros((2, 3), "int32")
    graph = tf.function(list_places, input_signature=[tf.TensorSpec((None, None), tf.int32)], autograph=False)
    for made in (list_places(tf.constant(token_ids)), graph(token_ids)):
        assert made.dtype == tf.int32
        np.testing.assert_array_equal(made, [0, 1, 2])


def test_a_table_gives_the_rows_and_gradients_of_keras_embedding() -> None:
    ids = np.array([[2, 0], [2, 1]], "int32")
    table, keras_table = EmbeddingTable(3, 4), keras.layers.Embedding(3, 4)
    for layer in (table, keras_table):
        layer.build()
        layer.embeddings.assign(VALUES.reshape(6, 4)[:3])
    found = []
    for layer in (table, keras_table):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer(ids) ** 2)
        gradient = tape.gradient(total, layer.embeddings.value)
        found.append((layer(ids).numpy(), tf.convert_to_tensor(gradient).numpy()))
    for own, other in zip(*found, strict=True):
        np.testing.assert_array_equal(own, other)
    half = EmbeddingTable(3, 4, dtype="mixed_bfloat16")
    assert half(ids).dtype == tf.bfloat16


@pytest.mark.parametrize("options", [
    {"rate": 0.4}, {"rate": 0.4, "dtype": "mixed_bfloat16"}, {"rate": 0.4, "dtype": "mixed_float16"}, {"rate": 0.0},
    {"rate": 1.0}, {"rate": 0.4, "noise_shape": (None, 1, 4)},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("run", [tf.function, lambda call: call], ids=["graph", "eager"])
def test_dropout_draws_what_keras_draws(options: dict[str, Any], run: Any) -> None:
    values, found = VALUES + 1, []
    for make in (Dropout, keras.layers.Dropout):
        layer = make(**options, seed=4)
        call = run(lambda values, training, layer=layer: layer(values, training=training))
        found.append([call(values, training=training) for training in (True, True, False)])
        assert found[-1][0].dtype == layer.compute_dtype
    for own, other in zip(*found, strict=True):
        np.testing.assert_array_equal(tf.cast(own, tf.float32), tf.cast(other, tf.float32))
    first, second, same = (tf.cast(one, tf.float32).numpy() for one in found[0])
    assert (same == values).all()
    if 0 < options["rate"] < 1:
        assert (first != second).any()


def test_dropout_takes_few_ops_and_keeps_what_a_graph_knows_of_the_shape() -> None:
    layer = Dropout(0.4)

    @tf.function(input_signature=[tf.TensorSpec((None, 3, 4))], autograph=False)
    def drop(values: Any) -> Any:
        made = layer(values, training=True)
        assert made.shape.as_list() == [None, 3, 4]
        return made

    ops = [op.type for op in drop.get_concrete_function().graph.get_operations()]
    assert len([op for op in ops if op not in ("Placeholder", "Identity", "NoOp")]) <= 18  # Keras' has 25


def test_a_negative_id_is_no_row() -> None:
    table = EmbeddingTable(3, 4)
    table.build()
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"-1 is not in \[0, 3\)"):
        table(np.array([[-1]], "int32"))


def test_a_layer_adds_few_ops_to_a_graph() -> None:
    """A quarter of a layer's ops were shapes: making a graph takes most of the time of a first answer."""

    def count_ops(num_layers: int) -> int:
        transformer = TransformerConfig(
            architecture="bert", vocabulary_size=9, hidden_dim=4, num_layers=num_layers, num_heads=2,
            intermediate_dim=8, max_positions=8,
        )  # fmt: skip
        encoder = Encoder(EncoderConfig(transformer=transformer))
        return len(make_function(encoder).get_concrete_function().graph.get_operations())

    assert count_ops(2) - count_ops(1) <= 95  # 126 with the shapes
