"""The core of attention: from queries, keys, values and a bias to the heads' results, for long texts in blocks."""

from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

from tfchain.models.encoders.compact_gradients import compact_steps
from tfchain.models.encoders.position_bias import make_position_bias

LONG = 1024  # tokens; the attention of longer texts is computed in blocks of queries
BLOCK = 256  # queries


def attend(query: Any, key: Any, value: Any, bias: Any, *, drop: Callable[[Any], Any] | None = None) -> Any:
    """Weighs values by how well keys fit queries (Vaswani et al. 2017, equation 1), with heads of keys shared.

    Args:
        query: `(batch, heads, queries, width)`, scaled.
        key: `(batch, key heads, keys, width)`; each head serves `heads / key heads` consecutive query heads.
        value: As `key`.
        bias: Added to the scores; broadcasts to `(batch, heads, queries, keys)`.
        drop: Dropout of the weights. Default: none.

    Returns:
        `(batch, heads, queries, width)`.
    """
    heads, key_heads, width = query.shape[1], key.shape[1], query.shape[-1]
    if heads == key_heads:
        weights = ops.softmax(_multiply(query, ops.swapaxes(key, -1, -2)) + bias)
        return _multiply(weights if drop is None else drop(weights), value)
    # The query heads of a group, one after the other, are the rows of one product with their shared head of keys.
    batch, _, queries, _ = ops.shape(query)
    keys = ops.shape(key)[2]
    grouped = ops.reshape(query, (batch, key_heads, -1, width))
    scores = _multiply(grouped, ops.swapaxes(key, -1, -2))  # (batch, key heads, group * queries, keys)
    weights = ops.softmax(ops.reshape(scores, (batch, heads, queries, keys)) + bias)
    weights = ops.reshape(weights if drop is None else drop(weights), (batch, key_heads, -1, keys))
    return ops.reshape(_multiply(weights, value), (batch, heads, queries, width))


def _multiply(first: Any, second: Any) -> Any:
    with compact_steps():
        return ops.matmul(first, second)


def attend_any(
    query: Any,
    key: Any,
    value: Any,
    bias: Any,
    padding: Any,
    *,
    positions: Mapping[str, Any] | None = None,
    drop: Any = None,
    max_length: int = LONG,
) -> Any:
    """Computes attention at once, or, of texts of more than 1,024 tokens, in blocks; a graph chooses when it runs.

    Args:
        query: As for `attend`.
        key: As for `attend`.
        value: As for `attend`.
        bias: As for `attend`, for texts of at most 1,024 tokens.
        padding: As for `attend_in_blocks`, for longer texts.
        positions: As for `attend_in_blocks`. Default: scores do not depend on positions.
        drop: The `keras.layers.Dropout` of the weights; None if it is off. Default: None.
        max_length: The maximum number of tokens in a text; with at most 1,024 the graph has no choice to make. Default:
            1,024.

    Returns:
        As `attend`.
    """
    rate = 0.0 if drop is None else drop.rate

    def at_once() -> Any:
        return attend(query, key, value, bias, drop=(lambda weights: drop(weights, training=True)) if rate else None)

    def in_blocks() -> Any:
        seed = drop.seed_generator.next() if rate else None
        return attend_in_blocks(query, key, value, padding, positions=positions or {}, dropout=rate, seed=seed)

    length = query.shape[2]
    if length is None and max_length > LONG:
        return ops.cond(ops.shape(query)[2] <= LONG, at_once, in_blocks)
    return at_once() if max_length <= LONG or length <= LONG else in_blocks()


def attend_in_blocks(
    query: Any,
    key: Any,
    value: Any,
    padding: Any,
    *,
    positions: Mapping[str, Any],
    dropout: float = 0.0,
    seed: Any = None,
    block: int | None = None,
) -> Any:
    """Computes `attend` for a block of queries at a time, so that memory grows linearly with the length of a text.

    A block's weights are dropped, and computed again for the gradients (Rabe and Staats 2021); with a window, a block
    sees only the keys that its queries reach, so that time grows linearly, too.

    Args:
        query: As for `attend`; as many queries as keys.
        key: As for `attend`.
        value: As for `attend`.
        padding: The bias on the scores of padding, `(batch, 1, 1, keys)`, or a scalar 0. It has no gradient.
        positions: The options of `make_position_bias`.
        dropout: Rate on the weights. Default: none.
        seed: int32 `(2,)`, for the dropout. Default: none.
        block: Queries at a time. Default: 256.

    Returns:
        As `attend`.
    """
    import tensorflow as tf

    if not padding.shape.rank:
        padding = tf.zeros((1, 1, 1, tf.shape(query)[2]), query.dtype)
    blocks = _Blocks(positions, dropout, block or BLOCK)

    @tf.custom_gradient
    def run(query: Any, key: Any, value: Any, padding: Any, seed: Any) -> Any:
        inputs = (query, key, value, padding, seed)

        def find_gradients(gradient: Any) -> tuple[Any, ...]:
            return (*blocks.find_gradients(gradient, inputs), None, None)

        return blocks.attend(inputs), find_gradients

    seed = tf.zeros((2,), "int32") if seed is None else tf.cast(seed, "int32")
    # In a branch of a graph, the gradients' loop cannot capture tensors from outside of the branch.
    inputs = [tf.identity(tensor) for tensor in (query, key, value, padding, seed)]
    return tf.ensure_shape(run(*inputs), query.shape)


class _Blocks:
    """Attention a block of queries at a time, and its gradients.

    Args:
        positions: The options of `make_position_bias`.
        dropout: Rate on the weights.
        block: Queries in a block.
    """

    def __init__(self, positions: Mapping[str, Any], dropout: float, block: int) -> None:
        self._positions = positions
        self._dropout = dropout
        self._block = block

    def attend(self, inputs: tuple[Any, ...]) -> Any:
        """Returns the results of all blocks; the inputs are queries, keys, values, padding and seed."""
        import tensorflow as tf

        query, key, value, padding, seed = inputs
        length = tf.shape(query)[2]

        def compute(start: Any) -> Any:
            first, width = self._reach(start, length)
            return self._attend_block(start, first, *self._take(start, first, width, query, key, value), padding, seed)

        def extend(start: Any, done: Any) -> tuple[Any, Any]:
            return start + self._block, tf.concat([done, compute(start)], axis=2)

        return self._loop(length, extend, (compute(tf.constant(0)),))[0]

    def find_gradients(self, gradient: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the gradients of queries, keys and values; each block's weights are computed again."""
        import tensorflow as tf

        query, key, value, padding, seed = inputs
        length = tf.shape(query)[2]

        def compute(start: Any) -> tuple[Any, ...]:
            first, width = self._reach(start, length)
            parts = self._take(start, first, width, query, key, value)
            with tf.GradientTape() as tape:
                tape.watch(parts)
                mixed = self._attend_block(start, first, *parts, padding, seed)
            upstream = gradient[:, :, start : start + self._block]
            own = tape.gradient(mixed, parts, output_gradients=upstream)
            around = [[0, 0], [0, 0], [first, length - first - width], [0, 0]]
            return own[0], tf.pad(own[1], around), tf.pad(own[2], around)

        def extend(start: Any, of_query: Any, of_key: Any, of_value: Any) -> tuple[Any, ...]:
            own = compute(start)
            return start + self._block, tf.concat([of_query, own[0]], axis=2), of_key + own[1], of_value + own[2]

        return self._loop(length, extend, compute(tf.constant(0)))

    def _loop(self, length: Any, extend: Callable[..., tuple[Any, ...]], first: tuple[Any, ...]) -> tuple[Any, ...]:
        """Calls a function for each block but the first with what there is so far; returns what there is at the end."""
        import tensorflow as tf

        shapes = [tf.TensorShape((part.shape[0], part.shape[1], None, part.shape[3])) for part in first]
        return tuple(
            tf.while_loop(
                lambda start, *_: start < length,
                extend,
                (tf.constant(self._block), *first),  # LiteRT has no empty tensors to begin with
                shape_invariants=(tf.TensorShape(()), *shapes),
                parallel_iterations=1,
            )[1:]
        )

    def _reach(self, start: Any, length: Any) -> tuple[Any, Any]:
        """Returns the first key that a block needs, and how many: all, or those around it, as many for each block."""
        window = self._positions.get("window")
        if window is None:
            return ops.zeros((), "int32"), length
        after = 0 if self._positions.get("is_causal") else window
        width = ops.minimum(length, window + self._block + after)
        return ops.clip(start - window, 0, length - width), width

    def _take(self, start: Any, first: Any, width: Any, query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
        keys = slice(first, first + width)
        return query[:, :, start : start + self._block], key[:, :, keys], value[:, :, keys]

    def _attend_block(
        self, start: Any, first: Any, queries: Any, keys: Any, values: Any, padding: Any, seed: Any
    ) -> Any:
        import tensorflow as tf

        places = tf.range(start, start + tf.shape(queries)[2])
        others = tf.range(first, first + tf.shape(keys)[2])
        bias = padding[..., first : first + tf.shape(keys)[2]]
        by_place = make_position_bias(places, others, dtype=queries.dtype.name, **self._positions)

        def drop(weights: Any) -> Any:
            own_seed = seed + tf.stack([0, start])
            return tf.nn.experimental.stateless_dropout(weights, rate=self._dropout, seed=own_seed)

        bias = bias if by_place is None else bias + by_place
        return attend(queries, keys, values, bias, drop=drop if self._dropout else None)
