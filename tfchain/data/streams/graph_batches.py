"""Batches of token ids that a graph of `tf.data` tokenizes: the same as those of the host."""

from collections.abc import Callable, Iterator
from typing import Any

from tfchain.data.streams.batch_plan import BatchPlan

Window = tuple[int, int, list[str], int]


def make_graph_dataset(
    windows: Callable[[], Iterator[Window]], tokenize: Callable[[Any], Any], plan: BatchPlan, pad_id: int
) -> Any:
    """Makes a `tf.data.Dataset` of batches.

    Args:
        windows: Returns an iterator of epoch, window, its texts, and how many of its first batches are left out.
        tokenize: Takes a string tensor `(texts,)`; returns `token_ids` and `padding_mask`, int32 `(texts, longest)`.
        plan: How texts become batches.
        pad_id: The token id that fills up shorter texts.

    Returns:
        A dataset of dicts with `token_ids`, `padding_mask` and `position`, the epoch and the number of the next batch.
    """
    import tensorflow as tf

    def produce() -> Iterator[tuple[list[str], Any, list[int], int]]:
        for epoch, window, texts, skipped in windows():
            yield texts, plan.order_of_batches(len(texts), epoch, window), [epoch, window], skipped

    def tokenize_window(texts: Any, order: Any, place: Any, skipped: Any) -> Any:
        token_ids, padding_mask = tokenize(texts)
        lengths = tf.math.count_nonzero(padding_mask, axis=1, dtype=tf.int32)
        keys = tf.searchsorted(tf.constant(plan.buckets, tf.int32), lengths) if plan.buckets else lengths
        return token_ids, padding_mask, lengths, tf.argsort(keys, stable=True), order, place, skipped

    def to_batches(
        token_ids: Any, padding_mask: Any, lengths: Any, ranked: Any, order: Any, place: Any, skipped: Any
    ) -> Any:
        def to_batch(number: Any) -> Any:
            start = order[number] * plan.batch_size
            rows = ranked[start : start + plan.batch_size]
            width = find_width(tf.reduce_max(tf.gather(lengths, rows)), plan)
            return {
                "token_ids": fit_width(tf.gather(token_ids, rows), width, pad_id),
                "padding_mask": fit_width(tf.gather(padding_mask, rows), width, 0),
                "position": tf.stack([place[0], place[1] * plan.window_batches + number + 1]),
            }

        return tf.data.Dataset.range(skipped, tf.size(order, tf.int64)).map(to_batch)

    signature = (
        tf.TensorSpec([None], tf.string),
        tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([2], tf.int64),
        tf.TensorSpec([], tf.int64),
    )
    dataset = tf.data.Dataset.from_generator(produce, output_signature=signature)
    return dataset.map(tokenize_window, num_parallel_calls=2, deterministic=True).flat_map(to_batches)


def find_width(longest: Any, plan: BatchPlan) -> Any:
    """Returns the width of a batch, as `BatchPlan.width_of` does."""
    import tensorflow as tf

    if not plan.buckets:
        return tf.maximum(longest, 1)
    message = f"The last of `buckets` must hold the longest text. Received: {plan.buckets}. Add a wider one."
    with tf.control_dependencies([tf.debugging.assert_less_equal(longest, plan.buckets[-1], message)]):
        buckets = tf.constant(plan.buckets, tf.int32)
        return buckets[tf.searchsorted(buckets, longest[tf.newaxis])[0]]


def fit_width(matrix: Any, width: Any, value: int) -> Any:
    """Cuts or fills up the columns of a matrix."""
    import tensorflow as tf

    missing = tf.maximum(width - tf.shape(matrix)[1], 0)
    return tf.pad(matrix[:, :width], [[0, 0], [0, missing]], constant_values=value)
