"""Trainings that come to NaN or infinity: an error with its place, and the weights and checkpoints from before."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.training.conftest import ROWS, MakeEncoder, MakeTextEncoder, Stepper
from tests.training.fit.test_fit import PAIRS, fit, weights_of
from tests.training.fit.test_training_hook import Halving
from tfchain.core.errors import DivergedError, InputError
from tfchain.data.pairs.reading import Pairs
from tfchain.training.fit.checkpoint import TrainingCheckpoint
from tfchain.training.fit.divergence import DivergenceGuard, find_not_finite
from tfchain.training.fit.trainer import PairTrainer
from tfchain.training.fit.validation import EvaluationCallback, Validation
from tfchain.training.losses import InBatchSoftmax, PairLoss, get_loss
from tfchain.training.losses.default import LOSSES


class Poison(keras.callbacks.Callback):
    """Makes one number of the encoder's last weight NaN or infinite behind a step."""

    def __init__(self, at: int, value: float = float("nan")) -> None:
        super().__init__()
        self.at = at
        self.value = value

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.model.steps_done == self.at:
            weight = self.model.encoder.trainable_weights[-1]
            changed = np.array(weight)
            changed.flat[-1] = self.value
            weight.assign(changed)


class LossAt(PairLoss):
    """In-batch softmax whose value is another one from a step on; its gradient stays what it was."""

    def __init__(self, at: int, value: float) -> None:
        super().__init__("loss_at")
        self.at = at
        self.value = value
        self.calls = 0

    def call(self, y_true: Any, y_pred: Any) -> Any:
        self.calls += 1
        losses = InBatchSoftmax().call(y_true, y_pred)
        return losses + keras.ops.stop_gradient(self.value - losses) if self.calls >= self.at else losses


def assert_kept(text_encoder: Any, before: list[np.ndarray], fingerprint: str) -> None:
    for weight, old in zip(weights_of(text_encoder), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    assert text_encoder.fingerprint == fingerprint


@pytest.mark.parametrize(
    ("callbacks", "values", "message"),
    [
        (
            [keras.callbacks.TerminateOnNaN(), keras.callbacks.TerminateOnNaN(raise_error=True), Poison(5)],
            {},
            r"^The loss must be a finite number\. Received: nan in step 2 of epoch 3\.",
        ),
        ([Poison(3)], {"mini_batch_size": 3, "ema_momentum": 0.9}, r"Received: nan in step 2 of epoch 2"),
        ([Poison(3)], {"hooks": [Halving()]}, r"Received: nan in step 2 of epoch 2"),
        ([], {"loss": LossAt(4, float("inf"))}, r"Received: inf in step 2 of epoch 2"),
        ([], {"loss": LossAt(1, float("-inf"))}, r"Received: -inf in step 1 of epoch 1"),
    ],
)
def test_a_training_that_comes_to_nan_ended_well_and_replaced_the_good_weights(
    make_text_encoder: MakeTextEncoder, eager: None, callbacks: Any, values: dict[str, Any], message: str
) -> None:
    text_encoder = make_text_encoder()
    before, fingerprint = weights_of(text_encoder), text_encoder.fingerprint
    with pytest.raises(DivergedError, match=message) as caught:
        fit(text_encoder, PAIRS, epochs=3, callbacks=callbacks, **values)
    assert "Lower `learning_rate`" in str(caught.value)
    assert_kept(text_encoder, before, fingerprint)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_the_last_step_that_are_not_finite_replaced_the_good_ones(
    make_text_encoder: MakeTextEncoder, eager: None, value: float
) -> None:
    text_encoder = make_text_encoder()
    before, fingerprint = weights_of(text_encoder), text_encoder.fingerprint
    with pytest.raises(DivergedError, match=r"NaN or infinity in layer_0/.* after step 4 of the training"):
        fit(text_encoder, PAIRS, epochs=2, callbacks=[Poison(4, value)])
    assert_kept(text_encoder, before, fingerprint)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_took_vectors_of_nan_for_vectors_that_cost_nothing(make_encoder: MakeEncoder, name: str) -> None:
    around = {"matryoshka": {"loss": "in_batch_softmax", "dims": [4]}, "spread_out": {"loss": "in_batch_softmax"}}
    made = get_loss({"name": name, **around.get(name, {})})
    columns = 2 if made.max_columns in (1, 2) else 3
    trainer = PairTrainer(make_encoder(), made, num_columns=columns, num_labels=columns - 1)
    vectors = np.random.default_rng(0).normal(size=(4, columns, 8)).astype("float32")
    labels = np.array([[1, 0], [0, 1], [1, 0], [0, 0]], "float32")[:, : columns - 1]
    extras = {"labels": labels, "guide": vectors + 1}
    assert np.isfinite(float(trainer.loss_of_batch(vectors, extras)))
    vectors[1, 1, 2] = np.nan
    assert np.isnan(float(trainer.loss_of_batch(vectors, extras)))


def test_what_a_hook_leaves_in_the_end_was_not_looked_at(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    class Breaking(Halving):
        def strip(self, encoder: keras.Model) -> None:
            self._bias(encoder).assign(np.full(12, np.inf))

    text_encoder = make_text_encoder()
    before, fingerprint = weights_of(text_encoder), text_encoder.fingerprint
    with pytest.raises(DivergedError, match=r"NaN or infinity in weight \d+ after step 2"):
        fit(text_encoder, PAIRS, hooks=[Breaking()])
    assert_kept(text_encoder, before, fingerprint)


def test_in_a_graph_without_other_callbacks_nan_is_noticed_too(make_text_encoder: MakeTextEncoder) -> None:
    class Always(PairLoss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return keras.ops.sum(y_pred, axis=(1, 2)) * float("nan")

    text_encoder = make_text_encoder()
    before, fingerprint = weights_of(text_encoder), text_encoder.fingerprint
    with pytest.raises(DivergedError, match=r"Received: nan in step \d of epoch 1"):
        fit(text_encoder, PAIRS, loss=Always("always"))
    assert_kept(text_encoder, before, fingerprint)


def test_a_label_of_1e38_ends_in_an_error(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    text_encoder = make_text_encoder()
    before, fingerprint = weights_of(text_encoder), text_encoder.fingerprint
    pairs = Pairs((["a cat", "the dog"], ["the cat", "stock"]), np.array([[1.0], [1e38]], "float32"))
    with pytest.raises(InputError):
        fit(text_encoder, pairs, loss="cosine_mse")
    assert_kept(text_encoder, before, fingerprint)


def test_a_model_of_nan_is_refused_before_its_texts_are_tokenized(
    make_text_encoder: MakeTextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_encoder = make_text_encoder()
    table = text_encoder.encoder.weights[0]
    table.assign(np.full(table.shape, np.nan))
    monkeypatch.setattr("tfchain.training.fit.fit.make_training_set", None)
    with pytest.raises(InputError, match=r"weights must be finite numbers\. Received: NaN or infinity in embeddings/"):
        fit(text_encoder, PAIRS)


def test_float16_leaves_a_step_of_nan_out_of_the_epochs_loss(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    class NotFirst(LossAt):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            self.calls += 1
            losses = InBatchSoftmax().call(y_true, y_pred)
            self.last = float(np.mean(losses))
            return losses * float("nan") if self.calls == 1 else losses

    text_encoder, loss = make_text_encoder(), NotFirst(1, 0)
    history = fit(text_encoder, ROWS, loss=loss, dtype_policy="mixed_float16")  # two steps
    assert history.history["loss"] == pytest.approx([loss.last])
    assert find_not_finite(weights_of(text_encoder)) is None


def test_an_epoch_of_nothing_but_nan_is_an_error_in_float16_too() -> None:
    trainer = SimpleNamespace(
        optimizer=keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
        loss_tracker=keras.metrics.Mean(),
        encoder=Stepper().encoder,
        steps_done=2,
    )
    guard = DivergenceGuard()
    guard.set_model(trainer)
    with pytest.raises(DivergedError, match=r"Received: none in all of epoch 3, in float16\..*Train in float32"):
        guard.on_epoch_end(2)
    trainer.loss_tracker.update_state(0.5)
    guard.on_epoch_end(2)


@pytest.mark.parametrize("every", [1, None])
def test_a_save_of_nan_took_the_place_of_a_good_one(tmp_path: Path, every: int | None) -> None:
    trainer = Stepper()
    with pytest.raises(DivergedError, match=r"NaN or infinity in .*product/bias after step \d"):
        trainer.run(Poison(6), TrainingCheckpoint(tmp_path, {}, every=every))
    newest = max(tmp_path.glob("step-*"))
    assert newest.name == ("step-000000005" if every else "step-000000004")
    assert all(np.isfinite(tensor).all() for tensor in load_file(newest / "state.safetensors").values())


def test_a_save_looks_at_the_optimizers_averages_too(tmp_path: Path) -> None:
    trainer = Stepper(momentum=0.5)
    trainer.optimizer.variables[-1].assign(np.full((3,), np.inf))
    checkpoint = TrainingCheckpoint(tmp_path, {})
    checkpoint.set_model(trainer)
    with pytest.raises(DivergedError):
        checkpoint.on_epoch_end(0, {"loss": 1.0})
    assert not list(tmp_path.glob("step-*"))


@pytest.mark.parametrize("every", ["epoch", 1])
def test_weights_of_nan_were_evaluated_and_could_be_the_best(every: Any) -> None:
    trainer = Stepper()
    measured: list[int] = []

    def evaluate(text_encoder: Any) -> dict[str, float]:
        measured.append(trainer.steps_done)
        return {"ndcg@10": float(trainer.steps_done)}

    text_encoder: Any = None
    evaluator = EvaluationCallback(evaluate, text_encoder, Validation(dataset=None, metrics=["ndcg@10"], every=every))
    with pytest.raises(DivergedError):
        trainer.run(Poison(6), evaluator)
    assert measured == ([4] if every == "epoch" else [1, 2, 3, 4, 5])


def test_the_guard_looks_at_the_weights_at_each_epochs_end() -> None:
    trainer = Stepper()
    with pytest.raises(DivergedError, match=r"after step 4 of the training"):
        trainer.run(DivergenceGuard(), Poison(3), epochs=3)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([np.ones(2), np.array([1.0, np.nan])], "weight 1"),
        ([np.array([-np.inf]), np.array([np.nan])], "weight 0"),
        ([np.ones(2), np.array([2**31 - 1])], None),
        ([], None),
    ],
)
def test_the_first_weight_that_is_not_finite_is_named(weights: list[np.ndarray], expected: str | None) -> None:
    assert find_not_finite(weights) == expected
