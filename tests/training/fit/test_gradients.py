"""Plain and cached gradients: equal to each other, and to a tape over the whole loss."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import ROWS, MakeEncoder, MakeTextEncoder
from tfchain.data.pairs.reading import Pairs
from tfchain.training.batches.layout import Layout
from tfchain.training.batches.maker import BatchMaker
from tfchain.training.batches.training_data import NamedPairs, make_training_set
from tfchain.training.fit.gradients import (
    cached_gradients,
    embedding_gradient,
    find_seed_generators,
    plain_gradients,
    to_dense,
)
from tfchain.training.losses import InBatchSoftmax, SpreadOut


def make_batch(text_encoder: Any, rows: list[tuple[str, ...]] = ROWS, *, groups: int = 1) -> tuple[dict[str, Any], Any]:
    """A batch of all rows, and the same texts' ids, row after row."""
    pairs = Pairs(tuple(map(list, zip(*rows, strict=True))))
    one = make_training_set(NamedPairs("", pairs, InBatchSoftmax()), text_encoder, progress=False)
    maker = BatchMaker([one], batch_size=len(rows), batches="random", layout=Layout(groups=groups))
    made = maker.make(0, 0)
    (_, order), *_ = maker.plan(0)
    return tf.nest.map_structure(tf.constant, made), one.store.pad(one.store.rows[order].reshape(-1), pad_id=0)


def loss_of(embeddings: Any, extras: Any) -> Any:
    """Of all rows, each with another weight, so that no two may change places; gradients are about 1."""
    rows = tf.cast(tf.range(1, tf.shape(embeddings)[0] + 1), "float32")
    return 0.03 * tf.reduce_mean(InBatchSoftmax(scale=3).call({}, embeddings) * rows)


def spread_loss_of(embeddings: Any, extras: Any) -> Any:
    """Of all directions, with hardness and spread out: compares a text with every other; gradients are about 1."""
    inner = InBatchSoftmax(scale=3, directions="all", hardness="all_negatives")
    return 0.1 * tf.reduce_mean(SpreadOut(inner).call({}, embeddings))


def by_tape(encoder: Any, texts: Any, num_columns: int = 3, loss_of: Any = loss_of) -> tuple[Any, list[Any]]:
    """The loss of all texts in one rectangle, and its gradients, by one tape over everything."""
    token_ids, mask = texts
    weights = [weight.value for weight in encoder.trainable_weights]
    with tf.GradientTape() as tape:
        embeddings = encoder({"token_ids": token_ids, "padding_mask": mask}, training=False)
        loss = loss_of(tf.reshape(embeddings, (-1, num_columns, embeddings.shape[-1])), {})
    return loss, [tf.convert_to_tensor(one) for one in tape.gradient(loss, weights)]


def assert_same(first: tuple[Any, list[Any]], second: tuple[Any, list[Any]], atol: float = 1e-6) -> None:
    assert float(first[0]) == pytest.approx(float(second[0]), abs=1e-5)
    assert max(float(tf.reduce_max(tf.abs(one))) for one in first[1]) > 0.01
    for one, other in zip(first[1], second[1], strict=True):
        np.testing.assert_allclose(one, other, atol=atol)


OPTIONS: dict[str, Any] = {"num_columns": 3, "scale": lambda loss: loss}


def set_generators(encoder: Any, seed: int = 3) -> None:
    for number, generator in enumerate(find_seed_generators(encoder)):
        generator.state.assign(np.array([seed, number], "uint32"))


@pytest.mark.parametrize("groups", [0, 1, 4])
def test_plain_gradients_are_those_of_one_tape_over_the_loss(
    make_text_encoder: MakeTextEncoder, groups: int, eager: None
) -> None:
    text_encoder = make_text_encoder()
    batch, texts = make_batch(text_encoder, groups=groups)
    assert len(batch["chunks"]) == (groups or 3)
    plain = plain_gradients(text_encoder.encoder, batch, [loss_of], **OPTIONS)
    assert_same(plain, by_tape(text_encoder.encoder, texts))


@pytest.mark.parametrize(("mini_batch_size", "trim"), [(1, True), (5, True), (5, False), (9, True), (100, True)])
def test_cached_gradients_are_the_plain_ones_whatever_the_mini_batch(
    make_text_encoder: MakeTextEncoder, mini_batch_size: int, trim: bool
) -> None:
    text_encoder = make_text_encoder()
    batch, texts = make_batch(text_encoder, ROWS[:3])  # nine texts
    cached = cached_gradients(
        text_encoder.encoder, batch, [loss_of], **OPTIONS, mini_batch_size=mini_batch_size, trim=trim
    )
    assert_same(cached, by_tape(text_encoder.encoder, texts))


def test_a_loss_between_all_texts_has_the_same_cached_gradients(
    make_text_encoder: MakeTextEncoder, eager: None
) -> None:
    text_encoder = make_text_encoder()
    batch, texts = make_batch(text_encoder, ROWS[:3])
    cached = cached_gradients(text_encoder.encoder, batch, [spread_loss_of], **OPTIONS, mini_batch_size=4)
    assert_same(cached, by_tape(text_encoder.encoder, texts, loss_of=spread_loss_of))


def test_both_passes_of_cached_gradients_see_the_same_dropout(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    encoder = make_text_encoder(dropout=0.4).encoder
    batch, texts = make_batch(make_text_encoder())
    # In one part of all texts the masks are those of the plain way, if both begin with the same generators.
    set_generators(encoder)
    plain = plain_gradients(encoder, batch, [loss_of], **OPTIONS)
    states = [np.array(generator.state) for generator in find_seed_generators(encoder)]
    set_generators(encoder)
    assert_same(cached_gradients(encoder, batch, [loss_of], **OPTIONS, mini_batch_size=24), plain)
    # The next step draws other masks, as in the plain way.
    np.testing.assert_array_equal([np.array(generator.state) for generator in find_seed_generators(encoder)], states)
    assert abs(float(plain[0]) - float(by_tape(encoder, texts)[0])) > 1e-3


@pytest.mark.parametrize("groups", [1, 2])
def test_in_a_graph_plain_gradients_are_those_of_one_tape(make_text_encoder: MakeTextEncoder, groups: int) -> None:
    text_encoder = make_text_encoder()
    batch, texts = make_batch(text_encoder, ROWS[:4], groups=groups)
    compute = tf.function(lambda one: plain_gradients(text_encoder.encoder, one, [loss_of], **OPTIONS))
    assert_same(compute(batch), by_tape(text_encoder.encoder, texts))


def test_in_a_graph_cached_gradients_are_those_step_by_step(make_text_encoder: MakeTextEncoder) -> None:
    encoder = make_text_encoder(dropout=0.4).encoder
    batch, _ = make_batch(make_text_encoder())
    results = []
    for run in (lambda function: function, tf.function):
        set_generators(encoder)
        compute = run(lambda one: cached_gradients(encoder, one, [loss_of], **OPTIONS, mini_batch_size=7))
        results.append((compute(batch), [np.array(generator.state) for generator in find_seed_generators(encoder)]))
    assert_same(results[1][0], results[0][0])
    np.testing.assert_array_equal(results[1][1], results[0][1])


def test_cached_gradients_of_many_parts_with_dropout_are_the_gradient_of_their_loss(
    make_text_encoder: MakeTextEncoder,
) -> None:
    encoder = make_text_encoder(dropout=0.4).encoder
    batch, _ = make_batch(make_text_encoder(), ROWS[:4])
    ((token_ids, mask),) = batch["chunks"]
    set_generators(encoder)
    cached = cached_gradients(encoder, batch, [loss_of], **OPTIONS, mini_batch_size=4, trim=False)
    set_generators(encoder)
    weights = [weight.value for weight in encoder.trainable_weights]
    with tf.GradientTape() as tape:  # the three parts in one tape: the masks are drawn in the same order
        parts = [
            encoder({"token_ids": token_ids[start : start + 4], "padding_mask": mask[start : start + 4]}, training=True)
            for start in (0, 4, 8)
        ]
        embeddings = tf.gather(tf.concat(parts, axis=0), batch["places"])
        loss = loss_of(tf.reshape(embeddings, (-1, 3, 8)), {})
    expected = loss, [tf.convert_to_tensor(one) for one in tape.gradient(loss, weights)]
    assert_same(cached, expected)


@pytest.mark.parametrize("run", [tf.function, lambda function: function], ids=["graph", "eager"])
def test_the_batchs_source_decides_on_the_loss_and_its_gradient(run: Any) -> None:
    losses = [
        lambda vectors, _: tf.reduce_sum(vectors**2),
        lambda vectors, extras: tf.reduce_sum(vectors) * extras["guide"],
    ]
    vectors = tf.constant([[[1.0, 2.0]], [[3.0, 4.0]]])
    compute = run(lambda source: embedding_gradient(vectors, {"source": source, "guide": tf.constant(5.0)}, losses))
    for source, expected in enumerate([(30.0, 2 * vectors), (50.0, tf.fill((2, 1, 2), 5.0))]):
        loss, gradient = compute(tf.constant(source))
        assert float(loss) == expected[0]
        np.testing.assert_array_equal(gradient, expected[1])


def test_the_optimizers_scale_is_in_the_gradients_and_not_in_the_loss(
    make_text_encoder: MakeTextEncoder, eager: None
) -> None:
    text_encoder = make_text_encoder()
    batch, texts = make_batch(text_encoder, ROWS[:4])
    loss, gradients = by_tape(text_encoder.encoder, texts)
    expected = loss, [8 * one for one in gradients]
    options = {**OPTIONS, "scale": lambda value: 8 * value}
    assert_same(plain_gradients(text_encoder.encoder, batch, [loss_of], **options), expected, atol=1e-5)
    cached = cached_gradients(text_encoder.encoder, batch, [loss_of], **options, mini_batch_size=7)
    assert_same(cached, expected, atol=1e-5)


def test_a_token_that_comes_twice_counts_once_in_the_gradients_norm(make_text_encoder: MakeTextEncoder) -> None:
    text_encoder = make_text_encoder()
    rows = [("the the the", "the cat"), ("the dog", "a the")]
    batch, _ = make_batch(text_encoder, rows)
    _, gradients = plain_gradients(text_encoder.encoder, batch, [loss_of], num_columns=2, scale=lambda loss: loss)
    assert all(isinstance(one, tf.Tensor) for one in gradients)
    table = next(
        one
        for one, weight in zip(gradients, text_encoder.encoder.trainable_weights, strict=True)
        if weight.path == "embeddings/token/embeddings"
    )
    # What Keras' clipping takes for the norm is that of the whole table.
    assert float(tf.linalg.global_norm([table])) == pytest.approx(float(np.linalg.norm(table.numpy())), rel=1e-6)


def test_rows_of_a_table_are_added_up_and_a_weight_without_gradient_has_zeros() -> None:
    slices = tf.IndexedSlices(tf.constant([[1.0, 2.0], [10.0, 20.0], [3.0, 4.0]]), tf.constant([1, 0, 1]), (3, 2))
    table, missing = to_dense([slices, None], [tf.zeros((3, 2)), tf.zeros((2,))])
    assert table.numpy().tolist() == [[10, 20], [4, 6], [0, 0]]
    assert missing.numpy().tolist() == [0, 0]


def test_every_dropouts_generator_is_found_once(make_encoder: MakeEncoder) -> None:
    encoder = make_encoder(dropout=0.1, num_layers=2)
    found = find_seed_generators(encoder)
    # One dropout behind the embeddings, and in each layer one on the attention weights and one behind both parts.
    assert len(found) == len({id(one) for one in found}) == 1 + 2 * 2
    inputs = keras.Input((4,))
    shared = keras.layers.Dropout(0.5)
    model = keras.Model(inputs, shared(keras.layers.Dense(4)(shared(inputs))))
    assert find_seed_generators(model) == [shared.seed_generator]
