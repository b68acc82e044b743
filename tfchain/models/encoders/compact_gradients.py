"""Gradients in fewer ops for the steps of a layer, which a training graph has thousands of.

TensorFlow finds out while a graph runs which axes of a product or sum were broadcast: nine ops for a product where two
do. In a normalisation or a dropout the layer knows this beforehand: only axes of size 1 or missing axes are broadcast,
never one whose size the graph does not know. The gradients here are TensorFlow's own formulas by that rule. A graph of
them takes less time to make, to optimize and to start; the values are the same.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

_IS_ON = ContextVar("compact_gradients", default=False)
_PREFIX = "TfchainCompact"


@contextlib.contextmanager
def compact_gradients() -> Iterator[None]:
    """Within it, `compact_steps` does something. For a graph that is trained: an exported one is to be free of marks.

    It has an effect in a `tf.function` within the one whose gradient a tape takes; a tape itself does not know of it.
    """
    token = _IS_ON.set(True)
    try:
        yield
    finally:
        _IS_ON.reset(token)


@contextlib.contextmanager
def compact_steps() -> Iterator[None]:
    """Marks the ops of a graph that are made within it, so that they get the gradients of this file.

    Of two tensors that meet in an op, each axis must have the same size, or be missing in one, or be known to have
    size 1 in one while the graph is made; products of matrices are not broadcast. Rows are gathered from the first axis
    of a table whose shape is known. A mean is over the last axis, which is kept, with a size that is known.
    """
    if not _IS_ON.get() or tf.executing_eagerly():
        yield
        return
    with tf.compat.v1.get_default_graph().gradient_override_map(_NAMES):
        yield


def add(first: Any, second: Any) -> Any:
    """Returns the sum of two tensors that meet as `compact_steps` asks."""
    with compact_steps():
        return first + second


def _of_sum(op: tf.Operation, upstream: Any) -> list[Any]:
    return [_fit(upstream, each) for each in op.inputs]


def _of_difference(op: tf.Operation, upstream: Any) -> list[Any]:
    first, second = op.inputs
    of_second = _fit(upstream, second)
    return [_fit(upstream, first), None if of_second is None else -of_second]


def _of_product(op: tf.Operation, upstream: Any) -> list[Any]:
    first, second = op.inputs
    pairs = ((first, second), (second, first))
    return [None if _is_constant(one) else _fit(upstream * other, one) for one, other in pairs]


def _of_quotient(op: tf.Operation, upstream: Any) -> list[Any]:
    first, second = op.inputs
    of_first = upstream / second
    return [_fit(of_first, first), None if _is_constant(second) else _fit(-of_first * op.outputs[0], second)]


def _of_mean(op: tf.Operation, upstream: Any) -> list[Any]:
    values, axis = op.inputs
    if not op.get_attr("keep_dims") or tf.get_static_value(axis) not in (-1, values.shape.rank - 1):
        raise ValueError(f"A marked mean must be over the last axis, which is kept. Received: {op.name}.")
    return [tf.broadcast_to(upstream * (1 / values.shape[-1]), tf.shape(values)), None]


def _of_choice(op: tf.Operation, upstream: Any) -> list[Any]:
    condition, *values = op.inputs
    zero = tf.zeros((), upstream.dtype)
    kept, left = (
        None if _is_constant(one) else _fit(tf.where(condition, *pair), one)
        for one, pair in zip(values, ((upstream, zero), (zero, upstream)), strict=True)
    )
    return [None, kept, left]


def _of_matrix_product(op: tf.Operation, upstream: Any) -> list[Any]:
    first, second = op.inputs
    turned = (op.get_attr("adj_x"), op.get_attr("adj_y"))
    if turned == (False, False):
        return [tf.matmul(upstream, second, adjoint_b=True), tf.matmul(first, upstream, adjoint_a=True)]
    if turned == (False, True):
        return [tf.matmul(upstream, second), tf.matmul(upstream, first, adjoint_a=True)]
    if turned == (True, False):
        return [tf.matmul(second, upstream, adjoint_b=True), tf.matmul(first, upstream)]
    both = {"adjoint_a": True, "adjoint_b": True}
    return [tf.matmul(second, upstream, **both), tf.matmul(upstream, first, **both)]


def _of_rows(op: tf.Operation, upstream: Any) -> list[Any]:
    table, places, _ = op.inputs
    values = tf.reshape(upstream, (-1, *table.shape[1:]))
    rows = tf.IndexedSlices(values, tf.reshape(places, (-1,)), tf.constant(table.shape.as_list()))
    return [rows, None, None]


def _is_constant(tensor: Any) -> bool:
    return bool(tensor.op.type == "Const")


def _fit(gradient: Any, tensor: Any) -> Any:
    """Sums a gradient over the axes along which a tensor was broadcast; None for a constant, which needs none."""
    if _is_constant(tensor):
        return None
    num_new = gradient.shape.rank - tensor.shape.rank
    if num_new:
        gradient = tf.reduce_sum(gradient, list(range(num_new)))
    sizes = zip(gradient.shape, tensor.shape, strict=True)
    ones = [axis for axis, (size, own) in enumerate(sizes) if own == 1 and size != 1]
    return tf.reduce_sum(gradient, ones, keepdims=True) if ones else gradient


_GRADIENTS = {
    "AddV2": _of_sum,
    "Sub": _of_difference,
    "Mul": _of_product,
    "RealDiv": _of_quotient,
    "Mean": _of_mean,
    "SelectV2": _of_choice,
    "GatherV2": _of_rows,
    "BatchMatMulV2": _of_matrix_product,
}
_NAMES = {name: _PREFIX + name for name in _GRADIENTS}
for _name, _gradient in _GRADIENTS.items():
    tf.RegisterGradient(_PREFIX + _name)(
        lambda op, upstream, find=_gradient: find(op, tf.convert_to_tensor(upstream))  # of rows: made dense
    )
