"""A loss and its gradient as a training step computes them: in a graph that does not know the batch's size."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfchain.training.fit.recording import record_gradients
from tfchain.training.losses.late_interaction import LateInteraction
from tfchain.training.losses.matryoshka import Matryoshka
from tfchain.training.losses.reranking import LambdaLoss
from tfchain.training.losses.spans import SpanLoss

# These gather along other axes, or have another loss inside, which may be a user's.
UNMARKED = (LambdaLoss, SpanLoss, LateInteraction, Matryoshka)


def find_graph_gradient(loss: Any, y_true: Mapping[str, Any], vectors: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the loss, and its gradient with respect to the vectors; a mask of nothing is among the inputs.

    The first row alone, where an axis of unknown size has size 1, must have a tape's gradient.
    """
    rows, columns = vectors.shape[:2]
    inputs = {"masked": np.zeros((rows, rows * (columns - 1)), "float32"), **y_true}
    specs = {
        key: tf.TensorSpec([None, *([None] if key == "masked" else value.shape[1:])]) for key, value in inputs.items()
    }

    @tf.function(input_signature=[specs, tf.TensorSpec([None, *vectors.shape[1:]])], autograph=False)
    def compute(truth: Any, embeddings: Any) -> tuple[Any, Any]:
        with record_gradients() as tape:
            value = loss(truth, embeddings)
        return value, tape.gradient(value, embeddings)

    ops = {op.type for op in compute.get_concrete_function().graph.get_operations()}
    assert isinstance(loss, UNMARKED) or "BroadcastGradientArgs" not in ops
    first = {key: np.float32(one[:1, : columns - 1] if key == "masked" else one[:1]) for key, one in inputs.items()}
    row = tf.constant(vectors[:1])
    with tf.GradientTape() as tape:
        tape.watch(row)
        value = loss(first, row)
    np.testing.assert_allclose(compute(first, row)[1], tape.gradient(value, row), rtol=1e-4, atol=1e-5)
    value, gradient = compute({key: np.float32(one) for key, one in inputs.items()}, vectors)
    return value.numpy(), gradient.numpy()
