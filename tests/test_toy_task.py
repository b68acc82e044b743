"""A task of thirty lines goes through a whole chain: what the task contract promises to whoever writes another one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tfchain.chains.base import Chain
from tfchain.deployment.client.client import Client
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.recipes import Shrink
from tfchain.tasks.heads import add_head, has_head
from tfchain.tasks.text_rows import TextRows
from tfchain.tasks.text_task import TextTask
from tfchain.training.losses import PairLoss

# The task: a rating of a text, a number.


@keras.saving.register_keras_serializable("tests")
class SquaredError(PairLoss):
    min_columns = max_columns = 1
    labels = "score"

    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        return ops.square(y_pred[:, 0, 0] - self.take(y_true, "labels")[:, 0])


class RatingTask(TextTask):
    name = "rating"
    metrics = ("mae",)
    lower_is_better = frozenset({"mae"})

    def read(self, source: Any, *, split: str) -> TextRows:
        return TextRows(*zip(*source, strict=True))

    def adapt(self, model: TextEncoder, state: Any, rows: TextRows) -> tuple[TextEncoder, Any]:
        return (model if has_head(model) else add_head(model, 1)), "stars"

    def make_loss(self, rows: TextRows, state: Any, given: Any = None) -> PairLoss:
        return SquaredError()

    def measure(self, outputs: np.ndarray, rows: TextRows, state: Any) -> Mapping[str, float]:
        return {"mae": float(np.abs(outputs[:, 0] - np.array(rows.targets)).mean())}

    def answer(self, outputs: Any, state: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"rating": outputs[:, 0]}


class RatingChain(Chain):
    task_type = RatingTask

    def rate(self, texts: list[str]) -> np.ndarray:
        return self.text_encoder.encode(texts)[:, 0]


# Its life.

ROWS = [("the cat sleeps", 5.0), ("a dog runs", 4.0), ("stocks fell", 1.0), ("who does what on monday", 2.0)]
TEXTS = [text for text, _ in ROWS]


@pytest.fixture(scope="module")
def trained(tiny_model_path: Path) -> RatingChain:
    chain = RatingChain(RatingTask(), TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow"))
    chain.fit(ROWS, batch_size=4, epochs=80, learning_rate=0.02, dropout=0.0, schedule="constant")
    return chain


def test_a_task_of_thirty_lines_is_trained_and_evaluated(trained: RatingChain) -> None:
    assert trained.state == "stars"
    np.testing.assert_allclose(trained.rate(TEXTS), [rating for _, rating in ROWS], atol=0.5)
    expected = np.abs(trained.rate(TEXTS) - [rating for _, rating in ROWS]).mean()
    assert trained.evaluate(ROWS) == {"mae": pytest.approx(expected, abs=1e-6)}


def test_a_task_of_thirty_lines_is_saved_and_loaded(trained: RatingChain, tmp_path: Path) -> None:
    loaded = RatingChain.load(trained.save(tmp_path / "chain"), engine="tensorflow")
    assert (loaded.state, loaded.task.name) == ("stars", "rating")
    np.testing.assert_array_equal(loaded.rate(TEXTS), trained.rate(TEXTS))


def test_a_task_of_thirty_lines_is_tuned(tiny_model_path: Path) -> None:
    chain = RatingChain(RatingTask(), TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow"))
    space = {"learning_rate": [1e-6, 0.02]}
    report = chain.tune(ROWS, space, tuner="grid", validation=ROWS, refit=True)
    assert chain.hyperparameters.learning_rate == 0.02  # the error falls with a rate that learns
    assert [trial.status for trial in report.trials] == ["completed"] * 2
    assert has_head(chain.text_encoder)


def test_a_task_of_thirty_lines_is_compressed(trained: RatingChain) -> None:
    chain = RatingChain(trained.task, trained.text_encoder, trained.state)
    chain.compress([Shrink(layers=1)])
    assert chain.model.config.transformer.num_layers == 1
    assert chain.rate(TEXTS).shape == (4,)


def test_a_task_of_thirty_lines_is_served(trained: RatingChain, tmp_path: Path) -> None:
    with trained.deploy(tmp_path / "rating") as deployment, Client(deployment.grpc_target) as client:
        answer = client.predict({"text": TEXTS}, model="rating")
        signatures = client.metadata("rating")["metadata"]["signature_def"]["signature_def"]
        assert set(signatures) >= {"answer", "serving_default", "embed", "embed_ids"}
    np.testing.assert_allclose(answer["rating"], trained.rate(TEXTS), atol=1e-5)
