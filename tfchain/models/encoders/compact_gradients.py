"""Gradients in fewer ops for the steps of a layer or loss, which a training graph has thousands of.

TensorFlow finds out while a graph runs which axes of a product or sum were broadcast: nine ops for a product where two
do. In a normalisation, a dropout or a loss it is known beforehand: only axes of size 1 or missing axes are broadcast,
never one whose size the graph does not know. The gradients here are TensorFlow's own formulas by that rule. A graph of
them takes less time to make, to optimize and to start; the values are the same.
"""

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np
import tensorflow as tf

_IS_ON = ContextVar("compact_gradients", default=False)
_PREFIX = "TfchainCompact"


@contextlib.contextmanager
def compact_gradients() -> Iterator[None]:
    """Within it, `compact_steps` does something. For a graph that is trained: an exported one is to be free of marks.

    It has an effect on `tf.gradients`, and in a `tf.function` within the one whose gradient a tape takes; a tape itself
    does not know of it.
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
    of a table, whose others are known. Sums and means are over axes that are known.

    As a decorator, `@compact_steps()`, it marks the ops of each call.
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


def _of_total(op: tf.Operation, upstream: Any) -> list[Any]:
    return [_spread(op, upstream), None]


def _of_mean(op: tf.Operation, upstream: Any) -> list[Any]:
    values = op.inputs[0]
    sizes = [values.shape[axis] for axis in _find_axes(op)]
    if None in sizes:
        count = tf.cast(tf.size(values) // tf.maximum(1, tf.size(op.outputs[0])), upstream.dtype)
        return [_spread(op, upstream / tf.maximum(count, 1)), None]
    return [_spread(op, upstream * (1 / max(1, math.prod(sizes)))), None]


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
    table, places, axis = op.inputs
    if op.get_attr("batch_dims") or tf.get_static_value(axis) != 0:
        raise ValueError(f"Marked rows must be of a table's first axis. Received: {op.name}.")
    values = tf.reshape(upstream, (-1, *table.shape[1:]))
    rows = tf.IndexedSlices(values, tf.reshape(places, (-1,)), tf.shape(table))
    return [rows, None, None]


def _find_axes(op: tf.Operation) -> list[int]:
    """Returns the axes that a sum or mean is over, in ascending order."""
    axes = tf.get_static_value(op.inputs[1])
    if axes is None:
        raise ValueError(f"A marked sum or mean must be over axes that the graph knows. Received: {op.name}.")
    return sorted(int(axis) % op.inputs[0].shape.rank for axis in np.ravel(axes))


def _spread(op: tf.Operation, gradient: Any) -> Any:
    """Repeats a gradient along the axes that a sum or mean is over."""
    if not op.get_attr("keep_dims") and gradient.shape.rank:
        for axis in _find_axes(op):
            gradient = tf.expand_dims(gradient, axis)
    return tf.broadcast_to(gradient, tf.shape(op.inputs[0]))


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
    "Sum": _of_total,
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
