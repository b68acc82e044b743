"""What `LateTokenizer` does with token ids, as a graph: queries expanded, and ids raised by how their tokens count."""

from typing import Any

import tensorflow as tf

from tfchain.models.encoders.token_vectors import NOT_SCORED
from tfchain.models.tokenizers.late import LateTokenizer


def raise_ids(tokenizer: LateTokenizer, token_ids: Any, padding_mask: Any) -> tuple[Any, Any]:
    """Returns the ids and the mask that a model of late interaction takes.

    Args:
        tokenizer: The tokenizer in Python, of queries or of documents.
        token_ids: The ids in the vocabulary, padded, int32 `(batch, length)`.
        padding_mask: 1 for a token and 0 for padding, of the same shape.
    """
    if tokenizer.side == "document":
        skipped = tf.constant(tokenizer.tokens.skipped_ids, tf.int32)
        if not tokenizer.tokens.skipped_ids:
            return token_ids, padding_mask
        is_skipped = tf.reduce_any(tf.equal(token_ids[..., tf.newaxis], skipped), axis=-1) & (padding_mask == 1)
        return tf.where(is_skipped, token_ids + NOT_SCORED * tokenizer.vocabulary_size, token_ids), padding_mask
    expansion = tokenizer.expansion
    if expansion is None:
        return token_ids, padding_mask
    length = tokenizer.tokens.expanded_length
    missing = [[0, 0], [0, tf.maximum(length - tf.shape(token_ids)[1], 0)]]
    token_ids, padding_mask = tf.pad(token_ids, missing), tf.pad(padding_mask, missing)
    is_expanded = (padding_mask == 0) & (tf.range(tf.shape(token_ids)[1])[tf.newaxis] < length)
    token_ids = tf.where(is_expanded, expansion, token_ids)
    is_padding = (padding_mask == 0) & ~is_expanded
    return tf.where(is_padding, tokenizer.pad_token_id, token_ids), tf.where(is_expanded, 1, padding_mask)
