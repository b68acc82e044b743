"""Writes targets with a sequence-to-sequence transformer, in TensorFlow ops for Python and for saved graphs."""

from typing import NamedTuple

import tensorflow as tf

from tfchain.models.seq2seq.beam_search import BeamSearch
from tfchain.models.seq2seq.decoding import Decoding, Written
from tfchain.models.seq2seq.generation_options import GenerationOptions
from tfchain.models.seq2seq.score_rules import ScoreRules, draw_noise
from tfchain.models.seq2seq.token_search import TokenSearch, search_best
from tfchain.models.seq2seq.top_scores import find_top, find_total
from tfchain.models.seq2seq.transformer import Seq2SeqTransformer


class Generated(NamedTuple):
    """What `generate` returns.

    Args:
        token_ids: int32 `(batch · num_return_sequences, length)`: the targets from the decoder's start on, padded.
        scores: float32 `(batch · num_return_sequences,)`: of beams the log probability by the length penalty; else the
            sum of the chosen tokens' log probabilities.
    """

    token_ids: tf.Tensor
    scores: tf.Tensor


def generate(
    transformer: Seq2SeqTransformer,
    token_ids: tf.Tensor,
    padding_mask: tf.Tensor,
    options: GenerationOptions,
    *,
    forced_bos: tf.Tensor | None = None,
    seed: tf.Tensor | int = 0,
    with_scores: bool = True,
    is_few: bool = False,
    token_search: TokenSearch | None = None,
) -> Generated:
    """Writes a target for each source, greedily, by beams or by chance.

    Call it inside a `tf.function`: one trace serves all batches and lengths. The tokens are those of transformers'
    `generate` with the same options, apart from ties and draws.

    Args:
        transformer: The encoder and the decoder.
        token_ids: int32 `(batch, source length)`.
        padding_mask: int32 `(batch, source length)`, 0 for padding.
        options: The choices.
        forced_bos: int32 `(batch,)`, the first token of each target after the decoder's start. Default: that of the
            options, if it has one.
        seed: A scalar int32 for draws; the same seed draws the same tokens. Default: 0.
        with_scores: Whether scores are computed; beams have them in any case. Default: True.
        is_few: Whether all batches have fewer than `decoding.FEW_ROWS` hypotheses, for which another graph is faster.
            Default: False; the graph takes any batch.
        token_search: What finds the best tokens where nothing else needs all logits: greedily, without scores, and by
            rules that read nothing of what has been written. It runs in this process alone, so a graph to save has
            none. Default: TensorFlow computes all logits.

    Raises:
        InputError: if the options do not fit the model.
    """
    config = transformer.config
    options.check_fits(vocabulary_size=config.decoder_vocabulary_size, max_positions=config.position_limit)
    copies = options.num_return_sequences if options.num_beams == 1 else 1
    rules = ScoreRules(options, eos_token_id=config.eos_token_id, vocabulary_size=config.decoder_vocabulary_size)
    if with_scores or options.num_beams > 1 or not rules.is_plain:
        token_search = None
    decoding = Decoding(
        transformer,
        token_ids,
        padding_mask,
        num_beams=options.num_beams,
        copies=copies,
        mask=rules.mask if rules.is_plain else None,
        is_few=is_few,
        has_logits=token_search is None,
    )
    if forced_bos is None and options.forced_bos_token_id is not None:
        forced_bos = tf.fill([tf.shape(token_ids)[0]], options.forced_bos_token_id)
    seed = tf.convert_to_tensor(seed, tf.int32)
    if options.num_beams > 1:
        search = BeamSearch(
            decoding,
            options,
            rules,
            eos_token_id=config.eos_token_id,
            pad_token_id=config.pad_token_id,
            forced_bos=forced_bos,
            seed=seed,
        )
        return Generated(*search.run(config.decoder_start_token_id))
    if forced_bos is not None and copies > 1:
        forced_bos = tf.repeat(forced_bos, copies)
    return _write_one_by_one(transformer, decoding, rules, forced_bos, seed, with_scores, token_search)


class _State(NamedTuple):
    targets: tf.Tensor  # (rows, length)
    scores: tf.Tensor  # (rows,)
    goes_on: tf.Tensor  # (rows,)
    written: Written


def _write_one_by_one(
    transformer: Seq2SeqTransformer,
    decoding: Decoding,
    rules: ScoreRules,
    forced_bos: tf.Tensor | None,
    seed: tf.Tensor,
    with_scores: bool,
    token_search: TokenSearch | None,
) -> Generated:
    """Chooses the best token, or draws one, until all targets have ended."""
    config, options = transformer.config, rules.options

    def step(state: _State) -> tuple[_State]:
        length = tf.shape(state.targets)[1]
        if token_search is None:
            logits, written = decoding.step(state.targets[:, -1:], state.written)
            chosen, gained = choose(logits, state, length)
        else:
            rows, written = decoding.advance(state.targets[:, -1:], state.written)
            gained = tf.zeros_like(state.scores)
            chosen = search_best(token_search, rules, rows, length, forced_bos)
        chosen = tf.where(state.goes_on, chosen, config.pad_token_id)
        goes_on = state.goes_on & (chosen != config.eos_token_id) & (length + 1 < options.max_length)
        return (
            _State(
                tf.concat([state.targets, chosen[:, tf.newaxis]], axis=1),
                state.scores + tf.where(state.goes_on, gained, 0.0),
                goes_on,
                written,
            ),
        )

    def choose(logits: tf.Tensor, state: _State, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the next tokens, and their log probabilities if they are asked for."""
        scores = logits
        if not rules.is_plain:
            scores = rules.apply(logits, state.targets, forced_bos)
        elif rules.has_places(forced_bos is not None):
            applies = rules.applies_at(length, forced_bos is not None)
            scores = tf.cond(applies, lambda: rules.apply(logits, state.targets, forced_bos), lambda: logits)
        if options.do_sample:
            scores = rules.warp(scores)
            noisy = scores + draw_noise(tf.shape(scores), seed, length)
            chosen = tf.argmax(noisy, axis=1, output_type=tf.int32)
            values = tf.gather(scores, chosen, batch_dims=1)
        else:
            values, places = find_top(scores, 1, rules.size)
            values, chosen = values[:, 0], places[:, 0]
        gained = tf.zeros_like(values)
        if with_scores:
            highest = tf.reduce_max(scores, axis=1, keepdims=True) if options.do_sample else values[:, tf.newaxis]
            gained = values - find_total(scores, highest)[:, 0]
        return chosen, gained

    rows = decoding.batch
    start = _State(
        tf.fill(tf.stack([rows, 1]), config.decoder_start_token_id),
        tf.zeros([rows]),
        tf.ones([rows], tf.bool),
        decoding.start(),
    )
    flat = tf.TensorShape([None])
    shapes = _State(tf.TensorShape([None, None]), flat, flat, decoding.shapes())
    end = tf.while_loop(lambda state: tf.reduce_any(state.goes_on), step, (start,), shape_invariants=(shapes,))[0]
    return Generated(end.targets, end.scores)
