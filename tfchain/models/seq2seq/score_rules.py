"""What changes the scores of the next token: repetitions, words that are ruled out, tokens that are forced, chance.

The rules have the names, the order and the formulas of transformers' logits processors, so that the same folder writes
the same tokens here.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from tfchain.models.seq2seq.generation_options import GenerationOptions

RULED_OUT = float("-inf")


class ScoreRules:
    """The rules of one generation.

    Args:
        options: The choices.
        eos_token_id: The id that ends a text.
        vocabulary_size: Number of tokens.
    """

    def __init__(self, options: GenerationOptions, *, eos_token_id: int, vocabulary_size: int) -> None:
        self.options = options
        self._eos = eos_token_id
        self.size = vocabulary_size
        words = [word for word in options.bad_words_ids if word != (eos_token_id,)]
        singles = [word[0] for word in words if len(word) == 1]
        self._phrases = [word for word in words if len(word) > 1]
        self.mask: np.ndarray | None = None
        if singles:
            self.mask = np.zeros(vocabulary_size, "float32")
            self.mask[singles] = RULED_OUT

    @property
    def is_plain(self) -> bool:
        """Whether the best tokens are those of the highest logits, `mask` added, but where `applies_at` says otherwise.

        They are if no rule depends on what has been written, and ruling tokens out changes the scores of no others, or
        of all alike.
        """
        options = self.options
        reads = options.repetition_penalty != 1 or options.no_repeat_ngram_size > 0 or bool(self._phrases)
        keeps = self.mask is None or options.renormalize_logits or options.num_beams == 1
        return not reads and not options.do_sample and keeps

    def has_places(self, has_forced_bos: bool) -> bool:
        """Returns whether `applies_at` may be true."""
        options = self.options
        return has_forced_bos or options.min_length > 0 or options.forced_eos_token_id is not None

    def applies_at(self, length: tf.Tensor, has_forced_bos: bool) -> tf.Tensor:
        """Returns whether a rule is for targets of a length alone: a forced token, or an end that is too early."""
        options = self.options
        applies = length < options.min_length
        if has_forced_bos:
            applies |= length == 1
        if options.forced_eos_token_id is not None:
            applies |= length == options.max_length - 1
        return applies

    def find_allowed(self, *, is_early: bool) -> np.ndarray | None:
        """Returns which tokens plain rules leave: booleans `(vocabulary,)`; None for all.

        Args:
            is_early: Whether the target is shorter than `min_length`, so that it may not end.
        """
        if self.mask is None and not is_early:
            return None
        allowed = np.ones(self.size, bool) if self.mask is None else self.mask == 0
        if is_early:
            allowed[self._eos] = False
        return allowed

    def force(self, chosen: tf.Tensor, length: tf.Tensor, forced_bos: tf.Tensor | None) -> tf.Tensor:
        """Returns the chosen tokens, int32 `(rows,)`, or those that the rules force at a length."""
        if forced_bos is not None:
            chosen = tf.where(length == 1, forced_bos, chosen)
        end = self.options.forced_eos_token_id
        return chosen if end is None else tf.where(length == self.options.max_length - 1, end, chosen)

    def apply(self, scores: tf.Tensor, targets: tf.Tensor, forced_bos: tf.Tensor | None) -> tf.Tensor:
        """Returns the scores by all rules.

        Args:
            scores: float32 `(rows, vocabulary)`.
            targets: What has been written, int32 `(rows, length)`, the decoder's start included.
            forced_bos: int32 `(rows,)`: the first token after the start; None for none.
        """
        options, length = self.options, tf.shape(targets)[1]
        if options.repetition_penalty != 1:
            penalty = tf.constant(options.repetition_penalty, scores.dtype)
            punished = tf.where(scores < 0, scores * penalty, scores / penalty)
            scores = tf.where(self._mark(targets, tf.ones_like(targets, tf.bool)), punished, scores)
        if options.no_repeat_ngram_size:
            scores = self._forbid_repeated(scores, targets)
        for phrase in self._phrases:
            scores = self._forbid_phrase(scores, targets, phrase)
        if self.mask is not None:
            scores = scores + self.mask
        if options.min_length:
            is_end = tf.range(self.size) == self._eos
            scores = tf.where(is_end & (length < options.min_length), RULED_OUT, scores)
        if forced_bos is not None:
            scores = tf.where(length == 1, _force(forced_bos, self.size), scores)
        if options.forced_eos_token_id is not None:
            end = tf.fill([tf.shape(scores)[0]], options.forced_eos_token_id)
            scores = tf.where(length == options.max_length - 1, _force(end, self.size), scores)
        return scores

    def warp(self, scores: tf.Tensor) -> tf.Tensor:
        """Returns the scores by which tokens are drawn: temperature, `top_k`, `top_p`."""
        options = self.options
        least = 2 if options.num_beams > 1 else 1
        if options.temperature != 1:
            scores = scores / options.temperature
        if options.top_k:
            kept = tf.math.top_k(scores, min(max(options.top_k, least), self.size)).values[:, -1:]
            scores = tf.where(scores < kept, RULED_OUT, scores)
        if options.top_p < 1:
            ordered = tf.sort(scores, axis=-1, direction="DESCENDING")
            # Of the probability, what a token and all less likely ones have together.
            rest = tf.cumsum(tf.nn.softmax(ordered), axis=-1, reverse=True)
            count = tf.reduce_sum(tf.cast(rest > 1 - options.top_p, tf.int32), axis=-1)
            last = tf.gather(ordered, tf.maximum(count, least) - 1, batch_dims=1)[:, tf.newaxis]
            scores = tf.where(scores < last, RULED_OUT, scores)
        return scores

    def _forbid_repeated(self, scores: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Rules out tokens that would repeat a sequence of `no_repeat_ngram_size` tokens."""
        size = self.options.no_repeat_ngram_size
        length = tf.shape(targets)[1]
        count = tf.maximum(length - size + 1, 0)  # sequences in the target
        same = tf.ones([tf.shape(targets)[0], count], tf.bool)
        for place in range(size - 1):
            last = targets[:, tf.maximum(length - size + 1 + place, 0)][:, tf.newaxis]
            same &= targets[:, place : place + count] == last
        banned = self._mark(targets[:, size - 1 : size - 1 + count], same)
        return tf.where(banned, RULED_OUT, scores)

    def _forbid_phrase(self, scores: tf.Tensor, targets: tf.Tensor, phrase: tuple[int, ...]) -> tf.Tensor:
        """Rules out the last token of a phrase after all others."""
        before = len(phrase) - 1
        length = tf.shape(targets)[1]
        tail = targets[:, tf.maximum(length - before, 0) :]
        begun = tf.cond(
            length >= len(phrase),  # as transformers, which needs one token more than it compares
            lambda: tf.reduce_all(tail == tf.constant(phrase[:-1], tf.int32), axis=1),
            lambda: tf.zeros([tf.shape(targets)[0]], tf.bool),
        )
        return tf.where(begun[:, tf.newaxis] & (tf.range(self.size) == phrase[-1]), RULED_OUT, scores)

    def _mark(self, token_ids: tf.Tensor, is_marked: tf.Tensor) -> tf.Tensor:
        """Returns which tokens are among the marked ones of each row: bool `(rows, vocabulary)`."""
        rows = tf.shape(token_ids)[0]
        row = tf.tile(tf.range(rows)[:, tf.newaxis], [1, tf.shape(token_ids)[1]])
        places = tf.reshape(tf.stack([row, token_ids], axis=-1), [-1, 2])
        counts = tf.scatter_nd(places, tf.reshape(tf.cast(is_marked, tf.int32), [-1]), tf.stack([rows, self.size]))
        return counts > 0


def _force(token_ids: tf.Tensor, size: int) -> tf.Tensor:
    """Returns scores that leave one token of each row: `(rows, vocabulary)`."""
    return tf.where(tf.range(size)[tf.newaxis] == token_ids[:, tf.newaxis], 0.0, RULED_OUT)


def draw_noise(shape: Any, seed: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Returns Gumbel noise: the largest of scores with it added are draws by their softmax, without replacement.

    Args:
        shape: The scores' shape.
        seed: A scalar int32.
        length: A scalar int32, the step.
    """
    uniform = tf.random.stateless_uniform(shape, tf.stack([seed, length]), minval=1e-20, maxval=1.0)
    return -tf.math.log(-tf.math.log(uniform))
