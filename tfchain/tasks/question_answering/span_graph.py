"""From the logits of windows to the best spans, in a TensorFlow graph: what `spans.find_spans` does, in stock ops."""

from typing import Any, NamedTuple


class WindowBatch(NamedTuple):
    """The windows of a question, padded.

    Args:
        start: The logits of the windows' tokens to start the answer, float32 `(windows, tokens)`.
        end: Those to end it.
        null: The two logits of the token before the question, float32 `(windows, 2)`.
        starts: Where each token starts in its document, in characters, int32 `(windows, tokens)`.
        ends: Where each ends.
        counts: The windows' tokens, int32 `(windows,)`.
        documents: The document of each window, int32 `(windows,)`.
    """

    start: Any
    end: Any
    null: Any
    starts: Any
    ends: Any
    counts: Any
    documents: Any


class GraphSpans(NamedTuple):
    """The best spans of a question, `(top_k,)` each; -1 stands for what is not there.

    Args:
        windows: The window that each was found in, int32.
        starts: Where it starts in its document, in characters, int32.
        ends: Where it ends.
        scores: Its probability, float32; 0 where there is none.
    """

    windows: Any
    starts: Any
    ends: Any
    scores: Any


def find_spans(batch: WindowBatch, *, top_k: int, max_tokens: int, threshold: float | None) -> GraphSpans:
    """Finds the best spans of windows; no answer comes first if its margin is above the threshold.

    Args:
        batch: The windows of a question, at least one.
        top_k: The number of spans.
        max_tokens: The most tokens of a span.
        threshold: The least margin of no answer; None if there is always an answer.
    """
    import tensorflow as tf

    width = tf.shape(batch.start)[1]
    is_token = tf.sequence_mask(batch.counts, width)  # (windows, tokens)
    start, end = (tf.where(is_token, logits, -float("inf")) for logits in (batch.start, batch.end))
    normalizer = tf.reduce_logsumexp(tf.concat([start, batch.null[:, :1]], 1)) + tf.reduce_logsumexp(
        tf.concat([end, batch.null[:, 1:]], 1)
    )
    padded = tf.pad(end, [[0, 0], [0, max_tokens]], constant_values=-float("inf"))
    padded_ends = tf.pad(batch.ends, [[0, 0], [0, max_tokens]])
    logits = tf.stack([start + padded[:, length : length + width] for length in range(max_tokens)], axis=2)
    ends = tf.stack([padded_ends[:, length : length + width] for length in range(max_tokens)], axis=2)
    starts = tf.broadcast_to(batch.starts[:, :, tf.newaxis], tf.shape(ends))
    documents = tf.broadcast_to(batch.documents[:, tf.newaxis, tf.newaxis], tf.shape(ends))
    flat_logits, flat_starts, flat_ends, flat_documents = (
        tf.reshape(values, [-1]) for values in (logits, starts, ends, documents)
    )
    nothing = tf.constant([-float("inf")])  # a text without a token has no spans
    flat_logits = tf.concat([tf.where(flat_ends <= flat_starts, nothing, flat_logits), nothing], 0)
    flat_starts, flat_ends, flat_documents = (
        tf.concat([values, [-1]], 0) for values in (flat_starts, flat_ends, flat_documents)
    )
    best: list[tuple[Any, Any, Any, Any]] = []
    for _ in range(top_k):
        place = tf.argmax(flat_logits, output_type=tf.int32)
        logit, first, last = (tf.gather(values, place) for values in (flat_logits, flat_starts, flat_ends))
        is_there = logit > -float("inf")
        row = place // tf.maximum(width * max_tokens, 1)
        best.append((tf.where(is_there, row, -1), tf.where(is_there, first, -1), tf.where(is_there, last, -1), logit))
        is_apart = (flat_documents != tf.gather(flat_documents, place)) | (flat_starts >= last) | (flat_ends <= first)
        flat_logits = tf.where(is_apart, flat_logits, -float("inf"))
    found = [tf.stack(values) for values in zip(*best, strict=True)]
    null = tf.reduce_min(tf.reduce_sum(batch.null, axis=1))
    has_none = found[3][0] == -float("inf")
    if threshold is not None:
        has_none = has_none | (null - found[3][0] > threshold)
    first_values = (tf.constant(-1), tf.constant(-1), tf.constant(-1), null)
    shifted = [tf.concat([[one], values], 0)[:top_k] for one, values in zip(first_values, found, strict=True)]
    windows, starts, ends, chosen = (
        tf.where(has_none, moved, values) for moved, values in zip(shifted, found, strict=True)
    )
    return GraphSpans(windows, starts, ends, tf.exp(chosen - normalizer))
