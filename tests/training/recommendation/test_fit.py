"""Training of recommendation models: what it learns, resumes, keeps and refuses."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.interaction_rows import make_world
from tfchain.core.errors import DivergedError, InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.training.fit.options import FitOptions
from tfchain.training.mining.options import Mining
from tfchain.training.recommendation.fit import fit_recommendation

pytestmark = pytest.mark.usefixtures("eager")

WORLD = make_world(users=False)
CONFIG = RecommendationConfig(
    dim=8, max_history=4, history="mean", dropout=0.0, id_dropout=0.0, warm_start=False, item_features=()
)
FAST = Hyperparameters(epochs=2, batch_size=8, learning_rate=0.05, schedule="constant", warmup=0.0)


def make_model(**changes: Any) -> RecommendationModel:
    return RecommendationModel(dataclasses.replace(CONFIG, **changes)).for_data(WORLD)


def fit(model: RecommendationModel, values: Hyperparameters = FAST, **options: Any) -> dict[str, list[float]]:
    options = {"strategy": "one", "progress": False, **options}
    found: dict[str, list[float]] = fit_recommendation(model, WORLD, values, FitOptions(**options)).history
    return found


@pytest.mark.parametrize(
    "loss",
    [
        "full_softmax",
        {"name": "sampled_softmax", "num_negatives": 6, "memory": 5, "num_hard": 4},
        {"name": "sampled_softmax", "num_negatives": 0, "log_q": False, "label_smoothing": 0.1},
    ],
)
def test_each_loss_is_learned(loss: Any) -> None:
    model = make_model()
    before = model.fingerprint
    losses = fit(model, FAST.replace(epochs=4), loss=loss)["loss"]
    assert losses[-1] < 0.9 * losses[0]
    assert model.fingerprint != before


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                raise KeyboardInterrupt

    options = {"loss": {"name": "sampled_softmax", "num_negatives": 4, "memory": 3}}
    whole = make_model()
    expected = fit(whole, **options)
    model = make_model()
    before = model.fingerprint
    with pytest.raises(KeyboardInterrupt):
        fit(model, checkpoint=tmp_path / "save", checkpoint_every=1, callbacks=[Stop()], **options)
    assert model.fingerprint == before  # written back at a good end alone
    losses = fit(model, checkpoint=tmp_path / "save", checkpoint_every=1, **options)["loss"]
    np.testing.assert_allclose(losses[-1], expected["loss"][-1], rtol=1e-5)
    for path, weight in whole.weights.items():
        np.testing.assert_allclose(model.weights[path], weight, atol=1e-5)
    with pytest.raises(InputError, match="belongs to another training: learning_rate was 0.05, is 0.01"):
        fit(make_model(), FAST.replace(learning_rate=0.01), checkpoint=tmp_path / "save", **options)


def test_a_training_that_diverges_leaves_the_model() -> None:
    model = make_model()
    (path,) = (path for path in model.weights if path.startswith("items/ids/"))
    model.set_weights({**model.weights, path: np.full_like(model.weights[path], np.nan)})
    before = model.fingerprint
    with pytest.raises(DivergedError, match="The loss must be a finite number"):
        fit(model)
    assert model.fingerprint == before


def test_frozen_layers_stay() -> None:
    model = make_model(history="transformer", num_layers=1)
    before = {path: weight.copy() for path, weight in model.weights.items()}
    fit(model, FAST.replace(epochs=1, freeze=["ids"]))
    (path,) = (path for path in before if path.startswith("items/ids/"))
    np.testing.assert_array_equal(model.weights[path], before[path])
    assert any((model.weights[other] != before[other]).any() for other in before)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ({}, {"mining": Mining()}, "`mining` is for encoders of texts.*Negatives are chosen by `loss`"),
        ({"lora_rank": 4}, {}, "`lora_rank` does not apply to recommendations"),
        ({"mini_batch_size": 4}, {}, "`mini_batch_size` does not apply to recommendations"),
        ({}, {"loss": "cosent"}, "`loss` of a recommendation must be one of full_softmax, sampled_softmax"),
        ({"drop_remainder": True, "batch_size": 99}, {}, "`drop_remainder` leaves no batch out of"),
        ({"freeze": ["nothing"]}, {}, "`freeze` must match layers. Received: 'nothing'"),
    ],
)
def test_what_does_not_apply_is_refused_before_the_first_step(
    values: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    model = make_model()
    before = model.fingerprint
    with pytest.raises(InputError, match=message):
        fit(model, FAST.replace(**values), **options)
    assert model.fingerprint == before


TWO_REPLICAS = """
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from tests.training.recommendation.test_fit import FAST, fit, make_model

found = {}
for strategy in ("one", tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    tf.config.run_functions_eagerly(strategy == "one")
    model = make_model(user_ids=True)
    losses = fit(model, FAST.replace(batch_size=6), strategy=strategy)["loss"]
    found[str(strategy == "one")] = (losses, model.weights)
np.testing.assert_allclose(found["True"][0], found["False"][0], rtol=1e-5)
assert found["True"][0][-1] < found["True"][0][0]
for path, weight in found["True"][1].items():
    np.testing.assert_allclose(weight, found["False"][1][path], atol=1e-5)
"""


@pytest.mark.usefixtures("forks")
def test_two_replicas_train_as_one_device() -> None:
    done = subprocess.run([sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
