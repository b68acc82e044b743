"""The bias on attention scores that depends on the positions of query and key: causal masks, windows, ALiBi."""

from typing import Any

from keras import ops

MASKED = -1e9  # added to the attention score of a token to ignore, so that its weight is exactly 0 in float32
MASKED_FLOAT16 = -3e4  # the largest float16 is 65,504


def make_position_bias(
    query_positions: Any,
    key_positions: Any,
    *,
    is_causal: bool = False,
    window: int | None = None,
    slopes: Any = None,
    dtype: str = "float32",
) -> Any:
    """Returns the bias on attention scores that depends on the positions of query and key alone; None if there is none.

    Args:
        query_positions: int32 `(queries,)`.
        key_positions: int32 `(keys,)`.
        is_causal: Whether a token attends to no token after it. Default: False.
        window: The largest distance of two tokens that attend to each other. Default: no limit.
        slopes: By how much each head's scores fall with the distance, `(heads,)`. Default: they do not.
        dtype: The type of the result. Default: float32.

    Returns:
        `(1, 1, queries, keys)`, with slopes `(1, heads, queries, keys)`.
    """
    if not is_causal and window is None and slopes is None:
        return None
    distance = ops.expand_dims(key_positions, 0) - ops.expand_dims(query_positions, 1)  # positive: the key comes later
    masked = None
    if is_causal:
        masked = ops.greater(distance, 0)
    if window is not None:
        too_far = ops.greater(ops.abs(distance), window)
        masked = too_far if masked is None else ops.logical_or(masked, too_far)
    bias = None
    if masked is not None:
        bias = ops.cast(masked, dtype) * (MASKED_FLOAT16 if dtype == "float16" else MASKED)
        bias = ops.expand_dims(ops.expand_dims(bias, 0), 0)
    if slopes is not None:
        falling = ops.cast(ops.abs(distance), dtype) * ops.reshape(ops.cast(-slopes, dtype), (1, -1, 1, 1))
        bias = falling if bias is None else bias + falling
    return bias
