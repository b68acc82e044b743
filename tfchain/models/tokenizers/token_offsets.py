"""Where tokens are in a text, in a TensorFlow graph: from bytes of normalised words to characters of the text."""

from typing import NamedTuple

import tensorflow as tf


class TokenOffsets(NamedTuple):
    """The tokens of texts.

    Args:
        ids: Their ids, ragged int32 `(texts, (tokens))`.
        words: The number of each token's word, counted over all texts, ragged int64.
        starts: Where each starts in its text, in characters, ragged int32.
        ends: Where each ends.
    """

    ids: tf.RaggedTensor
    words: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor


def find_offsets(
    ids: tf.Tensor,
    splits: tf.Tensor,
    words: tf.Tensor,
    first_bytes: tf.Tensor,
    last_bytes: tf.Tensor,
    *,
    byte_lengths: tf.Tensor,
    char_lengths: tf.Tensor,
    char_splits: tf.Tensor,
) -> TokenOffsets:
    """Returns the characters that tokens were made of.

    Normalising turns each character into a text of its own, which may be empty (an accent that is dropped). So the
    bytes of all normalised texts, one after the other, say which character a token begins and ends with.

    Args:
        ids: The tokens' ids, int32 `(tokens,)`.
        splits: The first token of each text, and the end, int64 `(texts + 1,)`.
        words: The number of each token's word.
        first_bytes: The number of each token's first byte, int64 `(tokens,)`.
        last_bytes: The number behind its last byte.
        byte_lengths: How many bytes each character became, int64 `(characters,)`.
        char_lengths: How many characters of the text it stands for: 1, or those of a special token.
        char_splits: The first character of each text, and the end, int64 `(texts + 1,)`.
    """
    byte_ends = tf.cumsum(byte_lengths)[tf.newaxis]
    first = tf.searchsorted(byte_ends, first_bytes[tf.newaxis], side="right", out_type=tf.int64)[0]
    last = tf.searchsorted(byte_ends, last_bytes[tf.newaxis] - 1, side="right", out_type=tf.int64)[0]
    char_ends = tf.concat([[0], tf.cumsum(tf.cast(char_lengths, tf.int64))], 0)
    texts = tf.ragged.row_splits_to_segment_ids(splits)
    begins = tf.gather(char_ends, tf.gather(char_splits, texts))  # where each token's text begins
    starts, ends = tf.gather(char_ends, first) - begins, tf.gather(char_ends, last + 1) - begins
    made = tf.RaggedTensor.from_row_splits(ids, splits, validate=False)
    return TokenOffsets(
        made,
        made.with_values(words),
        made.with_values(tf.cast(starts, tf.int32)),
        made.with_values(tf.cast(ends, tf.int32)),
    )
