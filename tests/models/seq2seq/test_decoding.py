"""The layers of a decoder: what a step computes from kept keys and values is what the whole target gives at once."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.models.seq2seq.attention import SourceAttention, TargetAttention
from tfchain.models.seq2seq.beam_search import BeamSearch
from tfchain.models.seq2seq.config import Seq2SeqConfig
from tfchain.models.seq2seq.decoder_layer import DecoderLayer
from tfchain.models.seq2seq.decoding import Decoding
from tfchain.models.seq2seq.embeddings import LogitsBias, SinusoidPositions, TokenTable
from tfchain.models.seq2seq.generation_options import GenerationOptions
from tfchain.models.seq2seq.score_rules import ScoreRules
from tfchain.models.seq2seq.target_bias import TargetBias
from tfchain.models.seq2seq.transformer import Seq2SeqTransformer

SIZES: dict[str, Any] = {
    "vocabulary_size": 11, "hidden_dim": 8, "num_layers": 1, "num_decoder_layers": 2, "num_heads": 2,
    "intermediate_dim": 6, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "post": {"family": "marian", "has_logits_bias": True},
    "pre": {
        "family": "m2m_100", "positions": "m2m_100", "norm_place": "pre", "embedding_scale": 2.0,
        "decoder_start_token_id": 1,
    },
    "relative": {
        "family": "mt5", "positions": "relative", "norm": "rms", "norm_place": "pre", "has_biases": False,
        "is_gated": True, "scales_attention": False, "has_own_head": True, "activation": "gelu_new", "head_dim": 3,
        "relative_buckets": 4, "relative_distance": 6,
    },
    "own": {"family": "marian", "target_vocabulary_size": 9, "head_scale": 0.5},
}  # fmt: skip
SOURCE = np.array([[3, 4, 5, 1], [6, 1, 0, 0]], "int32")
MASK = (SOURCE != 0).astype("int32")


def make(kind: str) -> Seq2SeqTransformer:
    keras.utils.set_random_seed(1)
    made = Seq2SeqTransformer(Seq2SeqConfig(**{**SIZES, **KINDS[kind]}))
    generator = np.random.default_rng(2)
    made.set_weights(
        [
            generator.normal(0, 0.4, weight.shape) if weight.dtype == "float32" else np.asarray(weight)
            for weight in made.weights
        ]
    )
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_steps_give_the_logits_of_the_whole_target(kind: str, eager: None) -> None:
    transformer = make(kind)
    # Two beams of each source; the third tokens continue the other beam's first two.
    start = transformer.config.decoder_start_token_id
    first = np.array([[[start, 2], [start, 3]], [[start, 4], [start, 5]]], "int32")
    third = np.array([[6, 7], [8, 2]], "int32")
    whole = np.concatenate([first[:, ::-1], third[:, :, np.newaxis]], axis=2)
    inputs = {
        "token_ids": SOURCE.repeat(2, axis=0),
        "padding_mask": MASK.repeat(2, axis=0),
        "target_ids": whole.reshape(4, 3),
    }
    expected = np.asarray(transformer(inputs))[:, -1]
    decoding = Decoding(transformer, tf.constant(SOURCE), tf.constant(MASK), num_beams=2)
    written = decoding.start()
    for place in range(2):
        _, written = decoding.step(tf.constant(first[:, :, place]), written)
    written = decoding.follow(written, tf.constant([[1, 0], [1, 0]]))
    logits, written = decoding.step(tf.constant(third), written)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    assert written.ancestors.numpy()[0].tolist() == [[1, 1, 0], [0, 0, 1]]


def test_padding_of_a_source_changes_nothing(eager: None) -> None:
    transformer = make("pre")
    given = {"target_ids": np.array([[0, 3, 4]], "int32")}
    short = transformer({"token_ids": SOURCE[1:, :2], "padding_mask": MASK[1:, :2], **given})
    long = transformer({"token_ids": SOURCE[1:], "padding_mask": MASK[1:], **given})
    np.testing.assert_allclose(short, long, atol=1e-5)


def test_a_training_step_lowers_the_loss_and_moves_no_logits_bias(eager: None) -> None:
    transformer = make("post")
    inputs = {"token_ids": SOURCE, "padding_mask": MASK, "target_ids": np.array([[0, 3, 4], [0, 5, 6]], "int32")}
    targets = np.array([[3, 4, 1], [5, 6, 1]], "int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    transformer.compile(keras.optimizers.SGD(0.05), loss)
    bias = np.array(transformer.parts.logits_bias.bias)
    before = float(loss(targets, transformer(inputs)))
    transformer.train_on_batch(inputs, targets)
    assert float(loss(targets, transformer(inputs))) < before
    np.testing.assert_array_equal(transformer.parts.logits_bias.bias, bias)


def test_marians_positions_are_sines_then_cosines_from_zero() -> None:
    table = SinusoidPositions(kind="marian", max_positions=3).make_table(4)
    np.testing.assert_allclose(table[0], [0, 0, 1, 1])
    np.testing.assert_allclose(table[2], [np.sin(2), np.sin(0.02), np.cos(2), np.cos(0.02)], rtol=1e-6)


def test_m2m_100s_positions_begin_after_padding_which_has_none() -> None:
    positions = SinusoidPositions(kind="m2m_100", max_positions=4, pad_token_id=1)
    ids = np.array([[7, 1, 8]], "int32")
    found = np.asarray(positions(np.zeros((1, 3, 4), "float32"), ids))[0]
    np.testing.assert_array_equal(found[1], np.zeros(4))
    # Two frequencies, 1 and 1/10,000; the first token has position 2, the next one 3.
    for place, position in ((0, 2), (2, 3)):
        expected = [np.sin(position), np.sin(position / 1e4), np.cos(position), np.cos(position / 1e4)]
        np.testing.assert_allclose(found[place], expected, rtol=1e-5)


def test_a_target_sees_no_later_token_and_counts_distances() -> None:
    bias = TargetBias(num_buckets=4, num_heads=1, max_distance=8)
    bias.build()
    bias.table.assign([[10.0], [20.0], [30.0], [40.0]])
    found = np.asarray(bias(np.zeros((1, 3), "int32")))[0, 0]
    assert found[2].tolist() == [30, 20, 10]  # the distances 2, 1, 0
    assert (found[0, 1:] < -1e8).all()
    # Two beams: the first goes on with the other's first token.
    row = np.asarray(bias.at(tf.constant(1), tf.constant([[[1, 0], [0, 1]]])))[0, 0]
    assert row[0].tolist()[1:3] == [20, 10]
    assert (row[0, [0, 3]] < -1e8).all()


@pytest.mark.parametrize(
    "layer",
    [
        TokenTable(vocabulary_size=4, hidden_dim=2, scale=3.0),
        SinusoidPositions(kind="m2m_100", max_positions=4, pad_token_id=1),
        LogitsBias(),
        TargetBias(num_buckets=4, num_heads=2, max_distance=8),
        TargetAttention(num_heads=2, head_dim=3, hidden_dim=4, has_biases=False, is_scaled=False),
        SourceAttention(num_heads=2, head_dim=3, hidden_dim=4, dropout=0.1),
        DecoderLayer(
            num_heads=2, head_dim=3, hidden_dim=4, intermediate_dim=5, options={"gate": "first", "norm": "rms"},
            activation="silu", norm_epsilon=1e-6,
        ),
    ],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_layers_survive_their_config(layer: keras.layers.Layer) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


def test_the_table_multiplies_by_its_unscaled_rows() -> None:
    table = TokenTable(vocabulary_size=3, hidden_dim=2, scale=10.0)
    table.build()
    table.embeddings.assign([[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(table(np.array([[2, 0]])), [[[50, 60], [10, 20]]])
    np.testing.assert_array_equal(table(np.array([[[1.0, -1.0]]], "float32"), reverse=True), [[[-1, -1, -1]]])


def test_a_beam_search_finds_what_greed_does_not(eager: None) -> None:
    # Token 2 is likelier than 3 at first (0.6 and 0.4), but what follows it is not: 0.6 · 0.5 < 0.4 · 0.9.
    chances = {0: [0, 0.0, 0.6, 0.4], 2: [0, 0.5, 0.25, 0.25], 3: [0, 0.9, 0.05, 0.05]}
    logs = tf.math.log(tf.constant([chances.get(token, [0, 1.0, 0, 0]) for token in range(4)]) + 1e-30)

    class Table:
        """Logits that depend on the last token alone."""

        batch = tf.constant(1)

        def start(self) -> Any:
            return tf.zeros([1, 2, 0], tf.int32)

        def shapes(self) -> Any:
            return tf.TensorShape([None, 2, None])

        def step(self, token_ids: Any, written: Any) -> Any:
            return tf.gather(logs, tf.reshape(token_ids, [-1])), written

        def follow(self, written: Any, beams: Any) -> Any:
            return written

    options = GenerationOptions(num_beams=2, max_length=4)
    search = BeamSearch(
        Table(),  # type: ignore[arg-type]
        options,
        ScoreRules(options, eos_token_id=1, vocabulary_size=4),
        eos_token_id=1,
        pad_token_id=0,
        forced_bos=None,
        seed=tf.constant(0),
    )
    ids, scores = search.run(0)
    assert ids.numpy().tolist() == [[0, 3, 1]]
    np.testing.assert_allclose(scores, [np.log(0.4 * 0.9) / 2], rtol=1e-5)
