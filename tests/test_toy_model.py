"""A task with a model of its own goes through a whole chain: what the model contract promises."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.toy_model import LineChain, LineModel, LineTask
from tfchain.core.errors import InputError
from tfchain.deployment.client.client import Client
from tfchain.optimization.measure_process import measure
from tfchain.optimization.recipes import Prune, Quantize, Shrink

X = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
Y = [1.0, 3.0, 1.5, 3.5]  # 2 a + b / 2 + 1
ROWS = (X, Y)


@pytest.fixture
def chain() -> LineChain:
    made = LineChain(LineTask(), LineModel.make())  # type: ignore[arg-type]
    made.fit(ROWS, epochs=400, learning_rate=0.2)
    return made


def test_a_model_of_its_own_is_trained_and_evaluated(chain: LineChain) -> None:
    np.testing.assert_allclose(chain.model.keras_model.get_weights()[0][:, 0], [2.0, 0.5], atol=1e-4)
    assert chain.evaluate(ROWS)["mae"] == pytest.approx(0.0, abs=1e-4)
    assert chain.state == 4


def test_a_model_of_its_own_is_no_text_encoder(chain: LineChain) -> None:
    assert not hasattr(chain, "text_encoder")
    with pytest.raises(AttributeError, match="LineChain has no text encoder: its model is a LineModel. Use `model`"):
        _ = chain.text_encoder


def test_a_model_of_its_own_is_saved_loaded_and_pickled(chain: LineChain, tmp_path: Path) -> None:
    for other in (LineChain.load(chain.save(tmp_path / "chain")), pickle.loads(pickle.dumps(chain))):
        np.testing.assert_array_equal(other.predict(X), chain.predict(X))
        assert (other.state, other.model.fingerprint) == (4, chain.model.fingerprint)


def test_a_model_of_its_own_is_compressed_by_the_recipes_that_suit_it(chain: LineChain) -> None:
    before = chain.predict(X)
    report = chain.compress([Quantize("bfloat16")])
    assert (chain.model.precision, list(report.candidates[0].files)) == ("bfloat16", ["weights.npz"])
    np.testing.assert_allclose(chain.predict(X), before, atol=0.02)
    chain.compress([Prune(0.5)])
    np.testing.assert_allclose(chain.model.keras_model.get_weights()[0][:, 0], [2.0, 0.0], atol=1e-4)
    with pytest.raises(InputError, match="Shrink compresses text encoders. Received: the recipe .* for a LineModel"):
        chain.compress([Shrink(layers=1)])
    with pytest.raises(InputError, match=r"A line has \('float32', 'bfloat16'\). Received: 'float16'"):
        chain.compress([Quantize("float16")])


def test_a_model_of_its_own_is_measured(chain: LineChain, tmp_path: Path) -> None:
    chain.model.save(tmp_path)
    single, bulk = chain.task.workload(chain.task.read_judged(ROWS, split="test"), None)
    task = {"kind": "tests.toy_model:LineModel", "model": str(tmp_path), "engine": "auto", "batch_size": 2}
    measured = measure({**task, "queries": single, "texts": bulk})
    assert set(measured) == {"peak_memory_mb", "query_median_ms", "query_p95_ms", "texts_per_second"}
    assert min(measured.values()) > 0


def test_a_model_of_its_own_is_tuned_by_hyperparameters(chain: LineChain) -> None:
    before = chain.model.fingerprint
    chain.hyperparameters = chain.hyperparameters.replace(epochs=20)
    report = chain.tune(ROWS, {"learning_rate": [1e-4, 0.2]}, tuner="grid", validation=ROWS)
    assert [trial.status for trial in report.trials] == ["completed"] * 2
    assert (chain.hyperparameters.learning_rate, chain.model.fingerprint) == (0.2, before)
    with pytest.raises(InputError, match="`space` for a LineModel must name hyperparameters. Received: 'loss.scale'"):
        chain.tune(ROWS, {"loss.scale": [1.0, 2.0]}, tuner="grid", validation=ROWS)


@pytest.mark.usefixtures("forks")
def test_a_model_of_its_own_is_served(chain: LineChain, tmp_path: Path) -> None:
    with chain.deploy(tmp_path / "line") as deployment, Client(deployment.grpc_target) as client:
        answer = client.predict({"x": np.array(X, "float32")}, model="line")
    np.testing.assert_allclose(answer["y"], chain.predict(X), atol=1e-6)
    with pytest.raises(
        InputError, match="'native' cannot serve this chain here: its model has no kernels.* Leave `engine` out"
    ):
        chain.deploy(tmp_path / "other", engine="native")
