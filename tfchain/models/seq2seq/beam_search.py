"""Beam search in TensorFlow ops: the hypotheses, scores and stops of transformers' `_beam_search`, step for step."""

from typing import Any, NamedTuple

import tensorflow as tf

from tfchain.models.seq2seq.decoding import Decoding, Written
from tfchain.models.seq2seq.generation_options import GenerationOptions
from tfchain.models.seq2seq.score_rules import ScoreRules, draw_noise
from tfchain.models.seq2seq.top_scores import find_top, find_total

NEVER = -1.0e9  # added to the score of what must not be chosen


class _State(NamedTuple):
    """What a step changes; `(batch, beams, …)` unless said otherwise.

    `targets` and `scores` are of the hypotheses that go on, `ended`, `ended_scores`, `ended_lengths` and `is_ended` of
    the best whole ones; `may_improve`, `(batch, 1)`, is whether one that goes on may still become better.
    """

    targets: tf.Tensor
    scores: tf.Tensor
    ended: tf.Tensor
    ended_scores: tf.Tensor
    ended_lengths: tf.Tensor
    is_ended: tf.Tensor
    may_improve: tf.Tensor
    goes_on: tf.Tensor
    written: Written


class BeamSearch:
    """Keeps the best hypotheses of each text, and of those the best that are whole.

    Args:
        decoding: Computes logits.
        options: The choices.
        rules: What changes scores.
        eos_token_id: The id that ends a text.
        pad_token_id: The id after the end; `eos_token_id` if it is 0, as in transformers.
        forced_bos: int32 `(batch,)`, the first token after the start; None for none.
        seed: A scalar int32, for draws.
    """

    def __init__(
        self,
        decoding: Decoding,
        options: GenerationOptions,
        rules: ScoreRules,
        *,
        eos_token_id: int,
        pad_token_id: int,
        forced_bos: tf.Tensor | None,
        seed: tf.Tensor,
    ) -> None:
        self._decoding = decoding
        self._options = options
        self._rules = rules
        self._eos = eos_token_id
        self._fill = pad_token_id or eos_token_id
        self._forced = None if forced_bos is None else tf.repeat(forced_bos, options.num_beams)
        self._seed = seed

    def run(self, start_token_id: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns targets int32 `(batch · num_return_sequences, length)`, best first, and their scores."""
        options, batch, beams = self._options, self._decoding.batch, self._options.num_beams
        targets = tf.fill(tf.stack([batch, beams, 1]), start_token_id)
        alone = tf.constant([[0.0] + [NEVER] * (beams - 1)])
        state = _State(
            targets=targets,
            scores=tf.tile(alone, [batch, 1]),
            ended=targets,
            ended_scores=tf.fill(tf.stack([batch, beams]), NEVER),
            ended_lengths=tf.zeros(tf.stack([batch, beams]), tf.int32),
            is_ended=tf.zeros(tf.stack([batch, beams]), tf.bool),
            may_improve=tf.ones(tf.stack([batch, 1]), tf.bool),
            goes_on=tf.size(targets) > 0,
            written=self._decoding.start(),
        )
        grows, fixed, one = (
            tf.TensorShape([None, beams, None]),
            tf.TensorShape([None, beams]),
            tf.TensorShape([None, 1]),
        )
        shapes = _State(grows, fixed, grows, fixed, fixed, fixed, one, tf.TensorShape([]), self._decoding.shapes())
        state = tf.while_loop(
            lambda state: state.goes_on, lambda state: (self._step(state),), (state,), shape_invariants=(shapes,)
        )[0]
        kept = options.num_return_sequences
        length = tf.maximum(tf.reduce_max(state.ended_lengths[:, :kept]), 0)  # of no texts at all it is the least int32
        sequences = tf.reshape(state.ended[:, :kept, : 1 + length], tf.stack([batch * kept, 1 + length]))
        return sequences, tf.reshape(state.ended_scores[:, :kept], [-1])

    def _step(self, state: _State) -> _State:
        beams, options = self._options.num_beams, self._options
        length = tf.shape(state.targets)[2]
        logits, written = self._decoding.step(state.targets[:, :, -1], state.written)
        scores, parents, tokens = self._find_candidates(logits, state)

        hits = (tokens == self._eos) | (length + 1 >= options.max_length)  # (batch, 2 · beams)
        candidates = tf.concat([tf.gather(state.targets, parents, batch_dims=1), tokens[:, :, tf.newaxis]], axis=2)
        running = scores + tf.cast(hits, tf.float32) * NEVER
        best = tf.math.top_k(running, beams).indices
        running = tf.gather(running, best, batch_dims=1)
        ended = self._end(state, candidates, scores, hits)
        may_improve = state.may_improve & self._can_improve(running, ended, length)

        everything = tf.reduce_all(ended.is_ended) if options.early_stopping is True else tf.constant(False)
        return ended._replace(
            targets=tf.gather(candidates, best, batch_dims=1),
            scores=running,
            may_improve=may_improve,
            goes_on=tf.reduce_any(may_improve) & ~everything & ~tf.reduce_all(hits),
            written=self._decoding.follow(written, tf.gather(parents, best, batch_dims=1)),
        )

    def _find_candidates(self, logits: tf.Tensor, state: _State) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the best continuations: their scores, the beams they continue, their tokens; `(batch, 2 · beams)`."""
        count = 2 * self._options.num_beams
        length = tf.shape(state.targets)[2]
        normalizes = self._options.renormalize_logits

        def by_rules() -> tuple[tf.Tensor, tf.Tensor]:
            targets = tf.reshape(state.targets, tf.stack([-1, length]))
            found = self._rules.apply(tf.nn.log_softmax(logits), targets, self._forced)
            if self._options.do_sample:
                found = self._rules.warp(found)
            return self._choose(tf.nn.log_softmax(found) if normalizes else found, state, count, length)

        def at_once() -> tuple[tf.Tensor, tf.Tensor]:
            # The best of each beam by its logits alone: one pass over them instead of four.
            values, tokens = find_top(logits, count, self._rules.size)
            total = find_total(logits, values[:, :1])
            beams = self._options.num_beams
            sums = tf.reshape(values - total, tf.stack([-1, beams, count])) + state.scores[:, :, tf.newaxis]
            best = tf.math.top_k(tf.reshape(sums, tf.stack([-1, beams * count])), count)
            tokens = tf.gather(tf.reshape(tokens, tf.stack([-1, beams * count])), best.indices, batch_dims=1)
            return best.values, (best.indices // count) * self._rules.size + tokens

        if not self._rules.is_plain:
            scores, places = by_rules()
        else:
            applies = self._rules.applies_at(length, self._forced is not None)
            scores, places = tf.cond(applies, by_rules, at_once)
        return scores, places // self._rules.size, places % self._rules.size

    def _choose(self, scores: tf.Tensor, state: _State, count: int, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the best, or drawn, sums of scores, and their places among beams · vocabulary."""
        shape = tf.stack([-1, self._options.num_beams, self._rules.size])
        sums = tf.reshape(scores, shape) + state.scores[:, :, tf.newaxis]
        sums = tf.reshape(sums, tf.stack([-1, self._options.num_beams * self._rules.size]))
        if not self._options.do_sample:
            best = tf.math.top_k(sums, count)
            return best.values, best.indices
        drawn = tf.math.top_k(sums + draw_noise(tf.shape(sums), self._seed, length), count).indices
        return tf.gather(sums, drawn, batch_dims=1), drawn

    def _end(self, state: _State, candidates: tf.Tensor, scores: tf.Tensor, hits: tf.Tensor) -> _State:
        """Returns the state with the best whole hypotheses, old and new."""
        beams, options = self._options.num_beams, self._options
        length = tf.shape(state.targets)[2]  # written tokens with the new one, without the start
        ends = hits & (tf.range(2 * beams) < beams)
        new = scores / tf.pow(tf.cast(length, tf.float32), options.length_penalty)
        if options.early_stopping is True:
            is_full = tf.reduce_all(state.is_ended, axis=1, keepdims=True)
            new += tf.cast(is_full, tf.float32) * NEVER
        new += tf.cast(~state.may_improve, tf.float32) * NEVER
        new += tf.cast(~ends, tf.float32) * NEVER

        padded = tf.pad(state.ended, [[0, 0], [0, 0], [0, 1]], constant_values=self._fill)
        merged_scores = tf.concat([state.ended_scores, new], axis=1)
        best = tf.math.top_k(merged_scores, beams)
        lengths = tf.concat([state.ended_lengths, tf.zeros_like(hits, tf.int32) + length], axis=1)
        is_ended = tf.concat([state.is_ended, ends], axis=1)
        return state._replace(
            ended=tf.gather(tf.concat([padded, candidates], axis=1), best.indices, batch_dims=1),
            ended_scores=best.values,
            ended_lengths=tf.gather(lengths, best.indices, batch_dims=1),
            is_ended=tf.gather(is_ended, best.indices, batch_dims=1),
        )

    def _can_improve(self, running: tf.Tensor, ended: _State, length: tf.Tensor) -> tf.Tensor:
        """Returns whether a running hypothesis may become better than the worst whole one: bool `(batch, 1)`."""
        options = self._options
        most: Any = length
        if options.early_stopping == "never" and options.length_penalty > 0:
            most = options.max_length - 1
        highest = running[:, :1] / tf.pow(tf.cast(most, tf.float32), options.length_penalty)
        worst = tf.reduce_min(ended.ended_scores, axis=1, keepdims=True)
        worst = tf.where(ended.is_ended, worst, NEVER)
        return tf.reduce_any(highest > worst, axis=1, keepdims=True)
