"""What a step records: a tape's gradients outside a graph and within one, by the layers' own gradients there."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfchain.models.encoders.compact_gradients import add
from tfchain.training.fit.recording import record_gradients

WEIGHT, OTHER = tf.Variable([2.0, 3.0]), tf.Variable(7.0)
RUNS = pytest.mark.parametrize("run", [tf.function, lambda function: function], ids=["graph", "eager"])


@RUNS
def test_gradients_are_a_tapes(run: Callable[..., Any]) -> None:
    def compute(factor: Any) -> Any:
        with record_gradients() as tape:
            tape.watch(factor)
            value = WEIGHT * factor**2
        upstream = tf.constant([1.0, 10.0])
        return tape.gradient(value, [WEIGHT, factor, OTHER], output_gradients=upstream)

    of_weight, of_factor, of_other = run(compute)(tf.constant([5.0, 6.0]))
    np.testing.assert_array_equal(of_weight, [25, 360])
    np.testing.assert_array_equal(of_factor, [20, 360])
    assert of_other is None


@RUNS
def test_one_source_has_one_gradient_of_a_whole_loss(run: Callable[..., Any]) -> None:
    def compute(vectors: Any) -> Any:
        with record_gradients() as tape:
            tape.watch(vectors)
            loss = tf.reduce_sum(vectors**3)
        return tape.gradient(loss, vectors)

    np.testing.assert_array_equal(run(compute)(tf.constant([1.0, 2.0])), [3, 12])


@pytest.mark.parametrize(("record", "is_compact"), [(record_gradients, True), (tf.GradientTape, False)])
def test_in_a_graph_layers_have_their_own_gradients(record: Callable[[], Any], is_compact: bool) -> None:
    @tf.function(input_signature=[tf.TensorSpec((None, None))], autograph=False)
    def compute(rows: Any) -> Any:
        with record() as tape:
            total = add(rows, WEIGHT)
        return tape.gradient(total, WEIGHT)

    np.testing.assert_array_equal(compute(tf.ones((4, 2))), [4, 4])
    ops = {op.type for op in compute.get_concrete_function().graph.get_operations()}
    assert ("BroadcastGradientArgs" not in ops) is is_compact


def test_within_a_loop_variables_have_gradients() -> None:
    def step(number: Any, total: Any) -> Any:
        with record_gradients() as tape:
            value = WEIGHT * tf.cast(number, tf.float32)
        return number + 1, total + tape.gradient(value, [WEIGHT])[0]

    compute = tf.function(lambda: tf.while_loop(lambda number, _: number < 4, step, (0, tf.zeros(2)))[1])
    np.testing.assert_array_equal(compute(), [6, 6])
