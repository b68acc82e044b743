"""A task of thirty lines goes through a whole chain: what the task contract promises to whoever writes another one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tfchain.chains.base import Chain
from tfchain.core.errors import InputError
from tfchain.deployment.client.client import Client
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.recipes import Shrink
from tfchain.tasks.heads import ensure_head, has_head
from tfchain.tasks.text_rows import TextRows
from tfchain.tasks.text_task import TextTask
from tfchain.training.losses import PairLoss

# The task: a rating of a text, a number.


@keras.saving.register_keras_serializable("tests")
class SquaredError(PairLoss):
    min_columns = max_columns = 1
    labels = "own"

    def call(self, y_true: Mapping[str, Any], y_pred: Any) -> Any:
        return ops.square(y_pred[:, 0, 0] - self.take(y_true, "labels")[:, 0])


class RatingTask(TextTask):
    name = "rating"
    metrics = ("mae",)
    lower_is_better = frozenset({"mae"})
    target = "stars"

    def read_target(self, value: Any) -> float:
        if not 1 <= float(value) <= 5:
            raise InputError(f"stars must be a number from 1 to 5. Received: {value!r}.")
        return float(value)

    def adapt(self, model: TextEncoder, state: Any, rows: TextRows) -> tuple[TextEncoder, Any]:
        return ensure_head(model, 1), {"texts": list(rows.texts[:64])}

    def make_loss(self, rows: TextRows, state: Any, given: Any = None) -> PairLoss:
        return SquaredError()

    def measure(self, outputs: np.ndarray, rows: TextRows, state: Any) -> Mapping[str, float]:
        return {"mae": float(np.abs(outputs[:, 0] - np.array(rows.targets)).mean())}

    def answer(self, outputs: Any, state: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"rating": outputs[:, 0]}

    def learning_texts(self, state: Any) -> Sequence[str] | None:
        return state["texts"] if state else None


class RatingChain(Chain):
    task_type = RatingTask

    def rate(self, texts: list[str]) -> np.ndarray:
        with self._current() as current:
            self.task.check_state(current.state)
            return self.task.compute(current.text_encoder, TextRows(texts, ()))[:, 0]


# Its life.

ROWS = [("the cat sleeps", 5.0), ("a dog runs", 4.0), ("stocks fell", 1.0), ("who does what on monday", 2.0)]
TEXTS = [text for text, _ in ROWS]


@pytest.fixture(scope="module")
def trained(thin_model_path: Path) -> RatingChain:
    chain = RatingChain(RatingTask(), TextEncoder.from_pretrained(thin_model_path, engine="tensorflow"))
    chain.fit(ROWS, batch_size=4, epochs=80, learning_rate=0.02, dropout=0.0, schedule="constant")
    return chain


def test_a_task_of_thirty_lines_is_trained_and_evaluated(trained: RatingChain) -> None:
    assert trained.state == {"texts": TEXTS}
    np.testing.assert_allclose(trained.rate(TEXTS), [rating for _, rating in ROWS], atol=0.5)
    expected = np.abs(trained.rate(TEXTS) - [rating for _, rating in ROWS]).mean()
    assert trained.evaluate(ROWS) == {"mae": pytest.approx(expected, abs=1e-6)}


def test_a_task_of_thirty_lines_reads_files_and_refuses_what_is_wrong(trained: RatingChain, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,stars\n" + "".join(f"{text},{stars}\n" for text, stars in ROWS))
    assert trained.evaluate(tmp_path / "rows.csv") == trained.evaluate(ROWS)
    for rows, message in (
        ([("a", 4.0), ("b", 6.0)], r"dataset\[1\]: stars must be a number from 1 to 5. Received: 6.0"),
        ([("a", "good")], r"dataset\[0\]: could not convert string to float: 'good'"),
        ([("a", None)], r"dataset\[0\]: "),
        ([(None, 4.0)], r"dataset\[0\]: `text` must be a text that is not empty"),
        ([], "at least one row"),
    ):
        with pytest.raises(InputError, match=message):
            trained.fit(rows)
    with pytest.raises(InputError, match="The task rating has its own loss. Received: loss='cosent'. Leave it out"):
        trained.fit(ROWS, loss="cosent")


def test_a_task_of_thirty_lines_says_when_it_is_not_trained(thin_model_path: Path, tmp_path: Path) -> None:
    chain = RatingChain(RatingTask(), TextEncoder.from_pretrained(thin_model_path, engine="tensorflow"))
    for ask in (lambda: chain.evaluate(ROWS), lambda: chain.export(tmp_path), lambda: chain.rate(TEXTS)):
        with pytest.raises(InputError, match="not trained for its task, rating, yet. Call `fit` first"):
            ask()
    assert not list(tmp_path.iterdir())


def test_a_task_of_thirty_lines_is_saved_and_loaded(trained: RatingChain, tmp_path: Path) -> None:
    loaded = RatingChain.load(trained.save(tmp_path / "chain"), engine="tensorflow")
    assert (loaded.state, loaded.task.name) == ({"texts": TEXTS}, "rating")
    np.testing.assert_array_equal(loaded.rate(TEXTS), trained.rate(TEXTS))


@pytest.mark.usefixtures("eager")
def test_a_task_of_thirty_lines_is_tuned(thin_model_path: Path) -> None:
    chain = RatingChain(RatingTask(), TextEncoder.from_pretrained(thin_model_path, engine="tensorflow"))
    space = {"learning_rate": [1e-6, 0.02]}
    report = chain.tune(ROWS, space, tuner="grid", validation=ROWS, refit=True)
    assert chain.hyperparameters.learning_rate == 0.02  # the error falls with a rate that learns
    assert [trial.status for trial in report.trials] == ["completed"] * 2
    assert has_head(chain.text_encoder)


def test_a_task_of_thirty_lines_is_compressed(trained: RatingChain) -> None:
    chain = RatingChain(trained.task, trained.text_encoder, trained.state)
    chain.compress([Shrink(intermediate_dim=8)])
    assert chain.model.config.transformer.intermediate_dim == 8
    assert chain.rate(TEXTS).shape == (4,)


@pytest.mark.usefixtures("forks")
def test_a_task_of_thirty_lines_is_served(trained: RatingChain, tmp_path: Path) -> None:
    with trained.deploy(tmp_path / "rating") as deployment, Client(deployment.grpc_target) as client:
        answer = client.predict({"text": TEXTS}, model="rating")
        signatures = client.metadata("rating")["metadata"]["signature_def"]["signature_def"]
        assert set(signatures) >= {"answer", "serving_default", "embed", "embed_ids"}
    np.testing.assert_allclose(answer["rating"], trained.rate(TEXTS), atol=1e-5)
