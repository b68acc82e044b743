"""What a Unigram model makes of unknown characters in a graph: one token for each run of them, or the run's bytes."""

import tensorflow as tf

from tfchain.models.tokenizers.code_points import constant, previous
from tfchain.models.tokenizers.piece_op import PieceOp
from tfchain.models.tokenizers.sentencepiece_model import UnknownRun


class UnknownRuns:
    """Joins neighbouring unknown pieces of a word, as Hugging Face's Unigram model does.

    The unknown token written out (`<unk>`, where it is not found as a special token before) is such a piece, too.

    Args:
        run: What a run becomes.
    """

    def __init__(self, run: UnknownRun) -> None:
        self._run = run
        # Runs without the token written out are joined by the op already.
        self._triggers = run.pieces if run.byte_ids else run.pieces[1:]
        self._byte_ids = constant(run.byte_ids, tf.int32) if run.byte_ids else None

    def __call__(
        self, tokenizer: PieceOp, words: tf.Tensor, pieces: tf.RaggedTensor, token_ids: tf.RaggedTensor
    ) -> tf.RaggedTensor:
        """Returns the token ids with runs joined: int32 `(words, (tokens))`.

        Args:
            tokenizer: The model whose pieces they are.
            words: The words, string `(words,)`.
            pieces: Their pieces, int32 `(words, (pieces))`.
            token_ids: The token ids of the pieces.
        """
        if not self._triggers:
            return token_ids
        values, row_splits = tf.cond(
            tf.reduce_any(_is_among(pieces.values, self._triggers)),
            lambda: self._join(tokenizer, words, token_ids.values),
            lambda: (token_ids.values, token_ids.row_splits),
        )
        return tf.RaggedTensor.from_row_splits(values, row_splits, validate=False)

    def _join(self, tokenizer: PieceOp, words: tf.Tensor, token_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the token ids of all words in a row, and where each word's begin and end."""
        pieces, starts, ends = tokenizer.tokenize_with_offsets(words)
        word = pieces.value_rowids()
        is_unknown = _is_among(pieces.values, self._run.pieces)
        continues = is_unknown & previous(is_unknown, False) & (word == previous(word, -1))
        firsts = tf.where(~continues)[:, 0]  # of runs, and all other pieces
        lasts = tf.concat([firsts[1:], [tf.size(word, tf.int64)]], 0) - 1
        word = tf.gather(word, firsts)
        row_splits = tf.searchsorted(word, tf.range(tf.size(words, tf.int64) + 1), out_type=tf.int64)
        token_ids = tf.gather(token_ids, firsts)
        if self._byte_ids is None:
            return token_ids, row_splits
        start = tf.gather(starts.values, firsts)
        length = tf.gather(ends.values, lasts) - start
        length = tf.where(tf.gather(is_unknown, firsts), length, 0)
        values, splits = self._to_bytes(tf.strings.substr(tf.gather(words, word), start, length), token_ids)
        return values, tf.gather(splits, row_splits)

    def _to_bytes(self, runs: tf.Tensor, token_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Replaces runs, string `(pieces,)`, by the tokens of their bytes; empty ones and `<unk>` stay."""
        split = tf.strings.bytes_split(runs)
        byte_ids = tf.gather(
            self._byte_ids, tf.cast(tf.reshape(tf.io.decode_raw(split.values, tf.uint8), [-1]), tf.int32)
        )
        lacks = tf.math.unsorted_segment_max(-byte_ids, split.value_rowids(), tf.size(runs)) > 0
        stays = lacks | (runs == "") | (runs == self._run.text)
        kept = tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(token_ids, stays), tf.cast(stays, tf.int64), validate=False
        )
        lengths = tf.where(stays, tf.constant(0, tf.int64), split.row_lengths())
        taken = tf.boolean_mask(byte_ids, ~tf.gather(stays, split.value_rowids()))
        both = tf.concat([kept, tf.RaggedTensor.from_row_lengths(taken, lengths, validate=False)], 1)
        return both.values, both.row_splits


def _is_among(values: tf.Tensor, numbers: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(values[:, tf.newaxis] == tf.constant(numbers, values.dtype), axis=1)
