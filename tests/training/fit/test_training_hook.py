"""Hooks of a training: when they are called, what a checkpoint keeps of them, which weights may be the best."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.training.conftest import ROWS, MakeTextEncoder
from tests.training.fit.test_fit import Stop, fit
from tfchain.core.errors import InputError
from tfchain.training.fit.training_hook import TrainingHook
from tfchain.training.fit.validation import Validation


class Halving(TrainingHook):
    """Doubles the first bias at the beginning, counts steps in a variable, and halves the bias again at the end."""

    def __init__(self, settled_from: int = 0, name: str = "halving") -> None:
        super().__init__()
        self.settled_from = settled_from
        self.name = name
        self.calls: list[Any] = []

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def prepare(self, encoder: keras.Model) -> None:
        self.calls.append("prepare")
        self.count = keras.Variable(0, dtype="int32", trainable=False, name="count")
        self._bias(encoder).assign(2 * self._bias(encoder))

    def begin(self, num_steps: int) -> None:
        self.calls.append(num_steps)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.model.skipping:
            self.count.assign_add(1)

    def variables(self) -> list[Any]:
        return [self.count]

    @property
    def is_settled(self) -> bool:
        return int(np.array(self.count)) >= self.settled_from

    def strip(self, encoder: keras.Model) -> None:
        self.calls.append("strip")
        self._bias(encoder).assign(self._bias(encoder) / 2)

    def _bias(self, encoder: keras.Model) -> Any:
        return encoder.get_layer("layer_0").intermediate.bias


def test_it_prepares_begins_and_takes_back_what_it_did(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    text_encoder, hook = make_text_encoder(), Halving()
    bias = text_encoder.encoder.get_layer("layer_0").intermediate.bias
    bias.assign(np.arange(12, dtype="float32"))
    fit(text_encoder, epochs=3, learning_rate=1e-9, hooks=[hook])
    assert hook.calls == ["prepare", 6, "strip"]
    assert int(np.array(hook.count)) == 6
    np.testing.assert_allclose(np.array(bias), np.arange(12), atol=1e-6)


def test_a_checkpoint_keeps_its_variables_and_refuses_other_hooks(
    make_text_encoder: MakeTextEncoder, tmp_path: Path, eager: None
) -> None:
    options = {"epochs": 3, "checkpoint": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        fit(make_text_encoder(), hooks=[Halving()], callbacks=[Stop(5)], **options)
    with pytest.raises(InputError, match=r"to another training: hooks was \[\{'name': 'halving'\}\], is None"):
        fit(make_text_encoder(), **options)
    hook = Halving()
    fit(make_text_encoder(), hooks=[hook], **options)
    assert int(np.array(hook.count)) == 6  # 4 of the save, 2 of the last epoch


def test_the_best_weights_are_among_those_that_have_settled(make_text_encoder: MakeTextEncoder, eager: None) -> None:
    values = iter([0.9, 0.3, 0.2, 0.1])
    seen: list[Any] = []

    def evaluate(text_encoder: Any) -> dict[str, float]:
        seen.append([np.array(one) for one in text_encoder.encoder.weights])
        return {"ndcg@10": next(values)}

    text_encoder = make_text_encoder()
    validation = Validation(dataset=None, metrics=["ndcg@10"], patience=2)
    history = fit(text_encoder, epochs=4, hooks=[Halving(3)], evaluate=evaluate, validation=validation)
    assert history.history["ndcg@10"] == [0.9, 0.3, 0.2, 0.1]  # the first does not count, nor does its loss of patience
    for own, best in zip(text_encoder.encoder.weights, seen[1], strict=True):
        if "intermediate/bias" not in own.path:
            np.testing.assert_array_equal(np.array(own), best)


def test_something_else_is_no_hook(make_text_encoder: MakeTextEncoder) -> None:
    with pytest.raises(InputError, match="Each of `hooks` must be a `TrainingHook`. Received: <keras"):
        fit(make_text_encoder(), ROWS, hooks=[keras.callbacks.TerminateOnNaN()])
