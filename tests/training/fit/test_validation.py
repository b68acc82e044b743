"""Evaluation while training: when, what stops, which weights stay."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest

from tests.training.conftest import MakeTextEncoder, Stepper
from tfchain.core.errors import InputError
from tfchain.training.fit.validation import EvaluationCallback, TrainingTextEncoder, Validation, averaged_weights


def make(trainer: Stepper, values: Mapping[int, float] | None = None, **validation: Any) -> Any:
    """An evaluator that measures a given value at each step (else the step's number), and the steps it measured at."""
    measured: list[int] = []

    def evaluate(text_encoder: Any) -> dict[str, float]:
        measured.append(trainer.steps_done)
        step = trainer.steps_done
        return {"mrr@10": -float(step), "ndcg@10": float(step) if values is None else values[step]}

    options = {"metrics": ["mrr@10", "ndcg@10"], "monitor": "ndcg@10", **validation}
    text_encoder: Any = None
    return EvaluationCallback(evaluate, text_encoder, Validation(dataset=None, **options)), measured


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"monitor": "mrr@10", "metrics": ["ndcg@10"]}, r"`monitor` must be one of the metrics \(ndcg@10\)\. Received"),
        ({"mode": "best"}, r"`mode` must be 'max' or 'min'\. Received: mode='best'"),
        ({"metrics": "ndcg@10"}, r"`metrics` must be a list of names"),
        ({"metrics": []}, r"`metrics` must be a list of names"),
        ({"every": 0}, r"`every` must be a whole number of at least 1\. Received: every=0\. Or write every='epoch'"),
        ({"every": "step"}, r"`every` must be a whole number"),
        ({"every": True}, r"`every` must be a whole number"),
        ({"patience": 0}, r"`patience` must be a whole number of at least 1"),
        ({"patience": 1.5}, r"`patience` must be a whole number of at least 1"),
    ],
)
def test_a_validation_that_cannot_be_is_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Validation(dataset=None, **values)


def test_every_epoch_is_measured_and_the_history_has_it() -> None:
    trainer = Stepper()
    evaluator, measured = make(trainer)
    history = trainer.run(evaluator, epochs=3, steps_per_epoch=4)
    assert measured == [4, 8, 12]
    assert history.history["ndcg@10"] == [4, 8, 12]
    assert history.history["mrr@10"] == [-4, -8, -12]
    assert evaluator.results[1] == {"step": 8, "epoch": 1, "mrr@10": -8.0, "ndcg@10": 8.0}


@pytest.mark.parametrize("every", [3, np.int64(3)])
def test_every_some_steps_is_measured_and_each_epochs_end_once(every: Any) -> None:
    trainer = Stepper()
    evaluator, measured = make(trainer, every=every)
    history = trainer.run(evaluator, epochs=3, steps_per_epoch=4)
    assert measured == [3, 4, 6, 8, 9, 12]
    assert history.history["ndcg@10"] == [4, 8, 12]
    assert [result["epoch"] for result in evaluator.results] == [0, 0, 1, 1, 2, 2]


def test_the_model_ends_with_the_best_weights() -> None:
    trainer = Stepper()
    evaluator, _ = make(trainer, {4: 0.2, 8: 0.6, 12: 0.6, 16: 0.4})  # the first of equals
    trainer.run(evaluator, epochs=4, steps_per_epoch=4)
    assert trainer.steps_in_weights == 8
    assert evaluator.best_value == 0.6


def test_the_model_ends_with_the_last_weights_where_the_best_are_not_asked_for() -> None:
    trainer = Stepper()
    evaluator, _ = make(trainer, {4: 0.9, 8: 0.1}, restore_best=False)
    trainer.run(evaluator, epochs=2, steps_per_epoch=4)
    assert trainer.steps_in_weights == 8
    assert evaluator.best_weights is None


def test_without_a_monitor_the_first_metric_decides() -> None:
    trainer = Stepper()
    evaluator, _ = make(trainer, monitor=None)  # mrr@10 falls
    trainer.run(evaluator, epochs=3, steps_per_epoch=4)
    assert trainer.steps_in_weights == 4


def test_training_stops_after_as_many_evaluations_without_a_better_one() -> None:
    trainer = Stepper()
    values = {4: 0.2, 8: 0.1, 12: 0.3, 16: 0.3, 20: 0.2, 24: 0.9}
    evaluator, measured = make(trainer, values, patience=2)
    history = trainer.run(evaluator, epochs=6, steps_per_epoch=4)
    assert measured == [4, 8, 12, 16, 20]
    assert len(history.epoch) == 5
    assert trainer.steps_in_weights == 12


def test_training_stops_in_the_middle_of_an_epoch_too() -> None:
    trainer = Stepper()
    evaluator, measured = make(trainer, {1: 0.5, 2: 0.4, 3: 0.9}, patience=1, every=1)
    trainer.run(evaluator, epochs=2, steps_per_epoch=4)
    assert measured == [1, 2]
    assert (trainer.steps_done, trainer.steps_in_weights) == (2, 1)


def test_a_metric_that_is_no_number_is_never_the_best() -> None:
    trainer = Stepper()
    evaluator, _ = make(trainer, {4: float("nan"), 8: 0.1, 12: float("nan")})
    trainer.run(evaluator, epochs=3, steps_per_epoch=4)
    assert trainer.steps_in_weights == 8


def test_steps_that_were_done_before_are_not_measured_again() -> None:
    trainer = Stepper()
    evaluator, measured = make(trainer, every=2)
    trainer.run(evaluator, epochs=2, steps_per_epoch=4, position=(0, 3))
    assert measured == [4, 6, 8]


def test_what_is_measured_is_the_average_and_the_training_goes_on_with_the_weights() -> None:
    trainer = Stepper(use_ema=True, ema_momentum=0.5)
    seen: list[float] = []

    def evaluate(text_encoder: Any) -> dict[str, float]:
        seen.append(trainer.steps_in_weights)
        return {"ndcg@10": {1: 0.2, 2: 0.7, 3: 0.1}[trainer.steps_done]}

    behind_epochs: list[float] = []
    watcher = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: behind_epochs.append(trainer.steps_in_weights)
    )

    text_encoder: Any = None
    evaluator = EvaluationCallback(evaluate, text_encoder, Validation(dataset=None, metrics=["ndcg@10"]))
    trainer.run(evaluator, watcher, epochs=3, steps_per_epoch=1)
    assert seen == [1, 1.5, 2.25]  # 1; (1 + 2) / 2; (1.5 + 3) / 2
    assert behind_epochs == [1, 2, 3]
    assert trainer.steps_in_weights == 1.5  # the best average


def test_the_weights_are_back_after_an_error_in_an_evaluation() -> None:
    trainer = Stepper(use_ema=True, ema_momentum=0.5)
    trainer.run(epochs=1, steps_per_epoch=1)
    trainer.encoder.set_weights([weight + 7 for weight in trainer.encoder.get_weights()])
    seen: list[float] = []

    def fail() -> None:
        with averaged_weights(trainer):
            seen.append(trainer.steps_in_weights)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [1]
    assert trainer.steps_in_weights == 8


def test_without_averages_the_weights_are_what_they_are() -> None:
    trainer = Stepper()
    with averaged_weights(trainer):
        assert trainer.steps_in_weights == 0


def test_the_state_goes_to_another_evaluator() -> None:
    trainer = Stepper()
    evaluator, _ = make(trainer, {4: 0.5, 8: 0.2})
    trainer.run(evaluator, epochs=2, steps_per_epoch=4)
    other, measured = make(trainer, {12: 0.3}, patience=2)
    other.set_state(evaluator.get_state(), evaluator.best_weights)
    trainer.run(other, epochs=4, steps_per_epoch=4, position=(2, 0))
    assert measured == [12]  # the second without a better one
    assert trainer.steps_in_weights == 4
    assert [result["step"] for result in other.results] == [4, 8, 12]


def test_the_encoder_in_training_encodes_with_the_weights_of_the_moment(make_text_encoder: MakeTextEncoder) -> None:
    text_encoder = make_text_encoder(prompts={"query": "who ", "document": "a "})
    copy = make_text_encoder(seed=2).encoder
    in_training = TrainingTextEncoder(text_encoder, copy)
    texts = ["the cat", "monday"]
    first = in_training.encode_query(texts)
    for weights in (text_encoder.encoder.get_weights(), make_text_encoder(seed=3).encoder.get_weights()):
        copy.set_weights(weights)
        changed = in_training.encode_query(texts)
        assert np.abs(changed - first).max() > 0.01
        first = changed
    copy.set_weights(text_encoder.encoder.get_weights())
    np.testing.assert_allclose(in_training.encode_query(texts), text_encoder.encode_query(texts), atol=1e-6)
    np.testing.assert_allclose(in_training.encode_document(texts), text_encoder.encode_document(texts), atol=1e-6)
    assert np.abs(in_training.encode(texts) - in_training.encode_query(texts)).max() > 0.01
