"""The trainer: a step is the loss's gradient, and each dataset's loss sees its own columns and labels."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import ROWS, MakeTextEncoder
from tfchain.data.pairs.reading import Pairs
from tfchain.training.batches.layout import Layout
from tfchain.training.batches.maker import BatchMaker
from tfchain.training.batches.training_data import NamedPairs, make_training_set
from tfchain.training.fit.trainer import PairTrainer
from tfchain.training.losses import InBatchSoftmax, PairLoss
from tfchain.training.losses.false_negatives import false_negative_mask


class Recorder(PairLoss):
    """Keeps what it was called with; its value is a multiple of the embeddings' sum."""

    def __init__(self, factor: float) -> None:
        super().__init__("recorder")
        self.factor = factor
        self.calls: list[Any] = []

    def call(self, y_true: Any, y_pred: Any) -> Any:
        self.calls.append((y_true, y_pred))
        return self.factor * keras.ops.sum(y_pred, axis=(1, 2))


def make_maker(text_encoder: Any, rows: Any = ROWS, **options: Any) -> BatchMaker:
    pairs = Pairs(tuple(map(list, zip(*rows, strict=True))))
    one = make_training_set(NamedPairs("", pairs, InBatchSoftmax()), text_encoder, progress=False)
    return BatchMaker([one], **{"batch_size": 8, "layout": Layout(groups=1), "batches": "random", **options})


def compiled(trainer: PairTrainer, rate: float) -> PairTrainer:
    trainer.compile(optimizer=keras.optimizers.SGD(rate), run_eagerly=True)
    trainer.optimizer.build(trainer.encoder.trainable_weights)
    return trainer


@pytest.mark.parametrize("mini_batch_size", [None, 5])
def test_a_step_goes_down_the_gradient_of_the_batchs_loss(
    make_text_encoder: MakeTextEncoder, mini_batch_size: int | None
) -> None:
    text_encoder = make_text_encoder()
    encoder = text_encoder.encoder
    batch = make_maker(text_encoder).make(0, 0)
    weights = [weight.value for weight in encoder.trainable_weights]
    ((token_ids, mask),) = batch["chunks"]
    with tf.GradientTape() as tape:
        vectors = tf.gather(encoder({"token_ids": token_ids, "padding_mask": mask}), batch["places"])
        masked = false_negative_mask(batch["keys"], batch["judged"])
        loss = tf.reduce_mean(InBatchSoftmax(scale=2).call({"masked": masked}, tf.reshape(vectors, (8, 3, 8))))
    gradients = [tf.convert_to_tensor(one) for one in tape.gradient(loss, weights)]
    expected = [np.array(weight) - 0.5 * one.numpy() for weight, one in zip(weights, gradients, strict=True)]
    trainer = compiled(
        PairTrainer(encoder, InBatchSoftmax(scale=2), num_columns=3, mini_batch_size=mini_batch_size), rate=0.5
    )
    logs = trainer.train_step(tf.nest.map_structure(tf.constant, batch))
    assert float(logs["loss"]) == pytest.approx(float(loss), abs=1e-5)
    for weight, value in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight, value, atol=1e-6)
    assert max(float(tf.reduce_max(tf.abs(one))) for one in gradients) > 0.01


def test_a_short_last_batch_counts_by_its_rows_in_the_epochs_loss(make_text_encoder: MakeTextEncoder) -> None:
    text_encoder = make_text_encoder()
    maker = make_maker(text_encoder, batch_size=6)  # six rows, then two
    trainer = compiled(PairTrainer(text_encoder.encoder, InBatchSoftmax(), num_columns=3), rate=0.0)
    losses = []
    for step in range(2):
        trainer.loss_tracker.reset_state()
        losses.append(float(trainer.train_step(tf.nest.map_structure(tf.constant, maker.make(step, 0)))["loss"]))
    history = trainer.fit(maker.dataset(), steps_per_epoch=2, verbose=0, shuffle=False)
    assert history.history["loss"] == pytest.approx([(6 * losses[0] + 2 * losses[1]) / 8], abs=1e-5)
    assert abs(losses[0] - losses[1]) > 0.01


def test_each_dataset_has_its_own_loss_columns_and_labels(make_text_encoder: MakeTextEncoder) -> None:
    losses = [Recorder(1.0), Recorder(10.0)]
    trainer = PairTrainer(make_text_encoder().encoder, losses, num_columns=[2, 4], num_labels=[0, 3])
    embeddings = np.random.default_rng(0).normal(size=(5, 4, 8)).astype("float32")
    extras = {
        "keys": np.arange(1, 21).reshape(5, 4),
        "judged": np.zeros((5, 1), "int64"),
        "labels": np.arange(15, dtype="float32").reshape(5, 3),
        "guide": np.ones((5, 4, 6), "float32"),
    }
    for source, (columns, factor) in enumerate([(2, 1.0), (4, 10.0)]):
        loss = trainer.loss_of_batch(embeddings, {**extras, "source": tf.constant(source)})
        assert float(loss) == pytest.approx(factor * embeddings[:, :columns].sum() / 5, abs=1e-4)
        ((truth, seen),) = losses[source].calls
        assert seen.shape == (5, columns, 8)
        assert truth["masked"].shape == (5, 5 * (columns - 1))
        assert truth["guide"].shape == (5, columns, 6)
        assert ("labels" in truth) == (source == 1)
    np.testing.assert_array_equal(losses[1].calls[0][0]["labels"], extras["labels"])


@pytest.mark.parametrize("mini_batch_size", [None, 5])
def test_in_a_graph_a_step_has_the_loss_of_the_batchs_source(
    make_text_encoder: MakeTextEncoder, mini_batch_size: int | None
) -> None:
    text_encoder = make_text_encoder()
    losses = [InBatchSoftmax(scale=2), InBatchSoftmax(scale=9)]
    batch = tf.nest.map_structure(tf.constant, make_maker(text_encoder).make(0, 0))

    def make(losses: Any) -> PairTrainer:
        options = {"num_columns": 3, "mini_batch_size": mini_batch_size}
        return compiled(PairTrainer(text_encoder.encoder, losses, **options), rate=0.0)

    trainer = make(losses)
    step = tf.function(trainer.train_step, autograph=False)
    for source, loss in enumerate(losses):
        trainer.loss_tracker.reset_state()
        found = step({**batch, "source": tf.constant(source)})["loss"]
        assert float(found) == pytest.approx(float(make(loss).train_step(batch)["loss"]), abs=1e-5)


def test_one_loss_for_several_datasets_is_given_once_for_each(make_text_encoder: MakeTextEncoder) -> None:
    trainer = PairTrainer(make_text_encoder().encoder, [Recorder(1.0)] * 3, num_columns=2, num_labels=1)
    assert (trainer.columns_of, trainer.labels_of) == ([2, 2, 2], [1, 1, 1])


@pytest.mark.parametrize("mask", [True, False])
def test_false_negatives_are_worked_out_only_where_they_are_to_be_masked(
    make_text_encoder: MakeTextEncoder, mask: bool
) -> None:
    recorder = Recorder(1.0)
    trainer = PairTrainer(make_text_encoder().encoder, recorder, mask_false_negatives=mask)
    keys = np.array([[1, 10], [2, 20], [3, 10]])
    trainer.loss_of_batch(np.ones((3, 2, 8), "float32"), {"keys": keys, "judged": np.array([[0], [10], [0]])})
    ((truth, _),) = recorder.calls
    assert ("masked" in truth) == mask
    if mask:
        assert np.asarray(truth["masked"]).tolist() == [[0, 0, 1], [1, 0, 1], [1, 0, 0]]


def test_a_trainer_encodes_as_its_encoder(make_text_encoder: MakeTextEncoder) -> None:
    encoder = make_text_encoder(dropout=0.5).encoder
    inputs = {"token_ids": np.array([[2, 9, 3]]), "padding_mask": np.array([[1, 1, 1]])}
    trainer = PairTrainer(encoder, InBatchSoftmax())
    np.testing.assert_array_equal(trainer(inputs), encoder(inputs))
    assert np.abs(trainer(inputs, training=True) - encoder(inputs)).max() > 1e-3
