"""Gradients in fewer ops: the values of TensorFlow's own, in graphs that know little of their shapes."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.models.encoders.compact_gradients import compact_gradients, compact_steps
from tfchain.models.encoders.config import EncoderConfig, PoolingConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder

Step = Callable[..., Any]
SHAPE: dict[str, Any] = {
    "architecture": "bert", "vocabulary_size": 20, "hidden_dim": 8, "num_layers": 1, "num_heads": 2,
    "intermediate_dim": 12, "max_positions": 24, "num_token_types": 2, "dropout": 0.3, "attention_dropout": 0.3,
}  # fmt: skip
RELATIVE = {"relative_attention_buckets": 8, "num_token_types": 0, "position_offset": 2}
TURNED = {"norm_place": "pre", "final_norm": True, "queries_per_key": 2}
IDS = np.array([[2, 9, 8, 3], [2, 7, 3, 0], [4, 0, 0, 0]], "int32")
TYPED_IDS = IDS + np.array([0, 0, 20, 0], "int32")  # in a vocabulary of 20, the third token is of type 1


def differentiate(step: Step, specs: Sequence[tf.TensorSpec], values: Sequence[Any], *, compact: bool) -> Any:
    """A step's value, its gradients, and the ops of the function that computes them."""

    @tf.function(input_signature=list(specs), autograph=False)
    def inner(*inputs: Any) -> Any:
        if not compact:
            return step(*inputs)
        with compact_gradients():
            return step(*inputs)

    @tf.function(autograph=False)
    def outer(*inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([one for one in inputs if one.dtype.is_floating])
            value = inner(*inputs)
            factors = tf.cast(tf.reshape(tf.range(1, tf.size(value) + 1), tf.shape(value)), value.dtype)
            weighted = tf.reduce_sum(value * factors)
        floating = [one for one in inputs if one.dtype.is_floating]
        return value, [tf.convert_to_tensor(one) for one in tape.gradient(weighted, floating)]

    graph = outer.get_concrete_function(*specs).graph.as_graph_def()
    backward = next(one for one in graph.library.function if "backward" in one.signature.name)
    return *outer(*map(tf.constant, values)), [node.op for node in backward.node_def]


def check(
    step: Step, shapes: Sequence[tuple[int | None, ...]], values: Sequence[Any], *, may_equal: bool = False
) -> list[str]:
    specs = [tf.TensorSpec(shape, value.dtype) for shape, value in zip(shapes, values, strict=True)]
    value, gradients, ops = differentiate(step, specs, values, compact=True)
    plain_value, plain_gradients, plain_ops = differentiate(step, specs, values, compact=False)
    np.testing.assert_array_equal(value, plain_value)
    for one, other in zip(gradients, plain_gradients, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    assert len(ops) < len(plain_ops) + may_equal
    return ops


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape).astype("float32")


STEPS = {
    "sum": lambda a, b: a + b,
    "difference": lambda a, b: a - b,
    "other difference": lambda a, b: b - a,
    "product": lambda a, b: a * b,
    "quotient": lambda a, b: a / b,
    "other quotient": lambda a, b: b / a,
    "choice": lambda a, b: tf.where(a > 1.0, a, b),
    "other choice": lambda a, b: tf.where(a > 1.0, b, a),
}


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(
    ("known", "second"), [((None, 4), (3, 4)), ((4,), (4,)), ((None, 1), (3, 1)), ((1, 4), (1, 4)), ((), ())]
)
def test_steps_of_two_tensors(name: str, known: tuple[Any, ...], second: tuple[int, ...], rows: int) -> None:
    def marked(a: Any, b: Any) -> Any:
        with compact_steps():
            return STEPS[name](a, b)

    second = (rows, *second[1:]) if known and known[0] is None else second
    ops = check(marked, [(None, 4), known], [numbers(rows, 4), numbers(*second, seed=1)])
    assert "BroadcastGradientArgs" not in ops


@pytest.mark.parametrize("step", [
    lambda a: a * 3.0, lambda a: 3.0 * a, lambda a: a / 3.0, lambda a: 3.0 / a, lambda a: a + 3.0, lambda a: 3.0 - a,
    lambda a: tf.where(a > 1.0, a, 0.0), lambda a: tf.reduce_mean(a, axis=-1, keepdims=True),
    lambda a: a - tf.reduce_mean(a, axis=-1, keepdims=True),
])  # fmt: skip
def test_steps_with_a_constant_and_means(step: Step) -> None:
    def marked(a: Any) -> Any:
        with compact_steps():
            return step(a)

    ops = check(marked, [(None, None, 4)], [numbers(2, 3, 4)])
    assert "BroadcastGradientArgs" not in ops


@pytest.mark.parametrize("shape", [(None, None, 4), (None, 3, 4)])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (-1, 1)])
@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("reduce", [tf.reduce_sum, tf.reduce_mean])
def test_sums_and_means(reduce: Step, keepdims: bool, axis: Any, shape: tuple[int | None, ...]) -> None:
    step = compact_steps()(lambda a: reduce(a, axis=axis, keepdims=keepdims))
    check(step, [shape], [numbers(2, 3, 4)], may_equal=True)


def test_a_mean_of_nothing_has_no_gradient() -> None:
    marked = compact_steps()(lambda a: tf.reduce_mean(a, axis=1))
    _, (gradient,), _ = differentiate(marked, [tf.TensorSpec((None, 4))], [numbers(0, 4)], compact=True)
    assert gradient.shape == (0, 4)


@pytest.mark.parametrize("turns", [(False, False), (False, True), (True, False), (True, True)])
def test_products_of_matrices(turns: tuple[bool, bool]) -> None:
    def marked(a: Any, b: Any) -> Any:
        with compact_steps():
            return tf.raw_ops.BatchMatMulV2(x=a, y=b, adj_x=turns[0], adj_y=turns[1])

    first = numbers(2, 3, 5, 4) if turns[0] else numbers(2, 3, 4, 5)
    second = numbers(2, 3, 6, 5, seed=1) if turns[1] else numbers(2, 3, 5, 6, seed=1)
    check(marked, [(None, 3, None, None)] * 2, [first, second])


@pytest.mark.parametrize("shape", [(2, 3), (4,), (0,)])
def test_rows_of_a_table(shape: tuple[int, ...]) -> None:
    places = np.random.default_rng(0).integers(0, 5, shape).astype("int32")  # some twice

    def marked(table: Any, places: Any) -> Any:
        with compact_steps():
            return tf.gather(table, places)

    for rows in (5, None):
        check(marked, [(rows, 4), (None,) * len(shape)], [numbers(5, 4), places])


@pytest.mark.parametrize(("changes", "dtype"), [
    ({}, "mixed_bfloat16"),
    ({"activation": "gelu_new", "token_embedding_dim": 4, "pairs": "typed"}, "float32"),
    ({"architecture": "roberta", "position_offset": 1, "max_positions": 1100}, "float32"),  # attention by `tf.cond`
    ({"architecture": "mpnet", **RELATIVE}, "float32"),
    ({"architecture": "modernbert", "layer": TURNED}, "float32"),
    ({"architecture": "modernbert", "layer": {"norm": "rms_plus_one"}}, "float32"),
    ({"architecture": "deberta-v2", "disentangled": {"span": 4, "max_distance": 8}}, "float32"),
], ids=["bert", "typed pairs", "roberta", "mpnet", "pre-norm", "rms", "deberta"])  # fmt: skip
def test_an_encoder_gets_the_gradients_that_it_gets_without(changes: dict[str, Any], dtype: str) -> None:
    shape = TransformerConfig(**{**SHAPE, **changes})
    config = EncoderConfig(transformer=shape, pooling=PoolingConfig(), normalize=True)
    found = []
    for compact in (True, False):
        keras.utils.set_random_seed(1)
        encoder = Encoder(config, dtype=dtype)
        weights = [weight.value for weight in encoder.trainable_weights]

        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32)], autograph=False)
        def encode(ids: Any, encoder: Any = encoder, compact: bool = compact) -> Any:
            inputs = {"token_ids": ids, "padding_mask": tf.cast(ids > 0, tf.int32)}
            if not compact:
                return encoder(inputs, training=True)
            with compact_gradients():
                return encoder(inputs, training=True)

        @tf.function(autograph=False)
        def step(encode: Any = encode, weights: Any = weights) -> Any:
            with tf.GradientTape() as tape:
                ids = TYPED_IDS if "pairs" in changes else IDS
                vectors = [encode(ids), encode(ids[:1, :3])]
                total = sum(tf.reduce_sum(one * tf.range(8.0)) for one in vectors)
            return vectors, [tf.convert_to_tensor(one) for one in tape.gradient(total, weights)]

        vectors, gradients = step()
        found.append([one.numpy() for one in (*vectors, *gradients)])
    assert max(np.abs(one).max() for one in found[1][2:]) > 0.1
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, rtol=0, atol=(1e-5 if dtype == "float32" else 0.05) * (scale + 1))


@pytest.mark.parametrize(("step", "message"), [
    (lambda a: tf.reduce_mean(a, axis=tf.cast(tf.reduce_min(a), tf.int32)), "must be over axes that the graph knows"),
    (lambda a: tf.gather(a, [1, 0], axis=1), "must be of a table's first axis"),
    (lambda a: tf.gather(a, [[1, 0]] * 3, batch_dims=1), "must be of a table's first axis"),
])  # fmt: skip
def test_what_has_no_gradient_here_is_an_error(step: Step, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        differentiate(compact_steps()(step), [tf.TensorSpec((3, 4))], [numbers(3, 4)], compact=True)


def test_a_layers_gradient_has_less_than_half_the_ops() -> None:
    encoder = Encoder(EncoderConfig(transformer=TransformerConfig(**SHAPE), pooling=PoolingConfig(), normalize=True))
    layer, counts = encoder.get_layer("layer_0"), []
    for compact in (True, False):
        _, _, ops = differentiate(
            lambda hidden, bias: layer(hidden, bias, training=True),
            [tf.TensorSpec((None, None, 8)), tf.TensorSpec((None, 1, 1, None))],
            [numbers(2, 3, 8), np.zeros((2, 1, 1, 3), "float32")],
            compact=compact,
        )
        counts.append(len(ops))
    assert counts[0] < 150 < 300 < counts[1], counts


def test_only_a_graph_that_is_trained_is_marked() -> None:
    def step(values: Any) -> Any:
        with compact_steps():
            return values * 2.0

    def marks(function: Any) -> list[str]:
        graph = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec((None,))).graph
        return [op.type for op in graph.get_operations() if "_gradient_op_type" in op.node_def.attr]

    def trained(values: Any) -> Any:
        with compact_gradients():
            values = step(values)
        return values * 2.0 + step(values)

    assert marks(step) == []
    assert marks(trained) == ["Mul"]
    with compact_gradients():  # eager: nothing to mark
        assert step(tf.constant([1.0])).numpy() == [2.0]
