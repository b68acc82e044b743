"""A recommendation model: what it keeps, what it becomes, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest

from tests.interaction_rows import make_world
from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.models.recommendation.recommendation_model import RecommendationModel, pad_histories

CONFIG = RecommendationConfig(dim=16, max_history=4, ridge=1.0, user_ids=True)


@pytest.fixture(scope="module")
def model() -> RecommendationModel:
    return RecommendationModel(CONFIG).for_data(make_world())


def test_a_model_without_a_training_says_so() -> None:
    model = RecommendationModel(CONFIG)
    assert not model.is_trained
    for ask in (lambda: model.weights, lambda: model.known, lambda: model.towers):
        with pytest.raises(InputError, match="not trained yet. Call `fit` first"):
            ask()


def test_a_model_is_saved_and_read(model: RecommendationModel, tmp_path: Path) -> None:
    small = model.with_precision("int8")
    small.save(tmp_path)
    read = RecommendationModel.from_pretrained(tmp_path)
    assert (read.fingerprint, read.precision) == (small.fingerprint, "int8")
    assert read.fingerprint != model.fingerprint
    inputs = model.item_inputs(make_world().items)
    np.testing.assert_array_equal(read.encode_items(inputs), small.encode_items(inputs))
    np.testing.assert_array_equal(read.plain().encode_items(inputs), model.encode_items(inputs))
    (tmp_path / "towers.safetensors").write_bytes(b"no")
    with pytest.raises(ModelFolderError, match="holds no recommendation model that can be read"):
        RecommendationModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(("precision", "bound"), [("float16", 2e-3), ("bfloat16", 2e-2), ("int8", 3e-2)])
def test_other_precisions_are_near(model: RecommendationModel, tmp_path: Path, precision: str, bound: float) -> None:
    inputs = model.item_inputs(make_world().items)
    expected = model.encode_items(inputs)
    made = model.with_precision(precision)  # type: ignore[arg-type]
    difference = np.abs(made.encode_items(inputs) - expected).max()
    assert 0 < difference < bound * np.abs(expected).max()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    model.write_served_files(tmp_path / "a")
    made.write_served_files(tmp_path / "b")
    sizes = [sum(file.stat().st_size for file in (tmp_path / name).iterdir()) for name in "ab"]
    assert sizes[1] < 0.75 * sizes[0]


def test_what_does_not_apply_is_refused(model: RecommendationModel) -> None:
    with pytest.raises(InputError, match="has no calibrated int8"):
        model.with_precision("int8", calibration=object())
    with pytest.raises(InputError, match="`engine` of a recommendation model must be 'tensorflow'. Received: 'litert'"):
        model.with_precision("int8", engine="litert")
    with pytest.raises(InputError, match="must be float32, float16, bfloat16 or int8"):
        model.with_precision("int4")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Binary vectors need the similarity 'cosine'"):
        model.with_vector_storage(VectorStorage("binary"))
    broken = model.copy()
    broken.set_weights({**model.weights, "items/other": np.zeros(1)})
    with pytest.raises(InputError, match="must be those of the model's shape. Received: others for items/"):
        _ = broken.towers


def test_a_copy_is_trained_alone(model: RecommendationModel) -> None:
    copy = model.copy()
    before = model.fingerprint
    copy.set_weights({path: weight + 1 for path, weight in model.weights.items()})
    assert (model.fingerprint, copy.fingerprint != before) == (before, True)
    assert model.with_keras_model(copy.towers).fingerprint == copy.fingerprint
    assert copy.describe_shape() == model.describe_shape()


def test_a_second_training_keeps_what_is_known(model: RecommendationModel) -> None:
    world = make_world()
    fewer = model.for_data(world.select(world.item_rows > 0))
    assert len(fewer.known.items) == len(model.known.items) - 1
    (path,) = (path for path in model.weights if path.startswith("items/ids/"))
    old, new = model.weights[path], fewer.weights[path]
    np.testing.assert_array_equal(new[1:], old[2:])
    assert fewer.known.item_features == model.known.item_features


def test_a_workload_is_answered(model: RecommendationModel) -> None:
    model.run_one({"history": ["i1", "nobody"]})
    model.run([{"history": []}, {"history": ["i1", "i2", "i3", "i4", "i5"]}], batch_size=1)


def test_histories_are_padded_at_the_end() -> None:
    rows, lengths = pad_histories([[], [1, 2, 3], [4]], 2)
    assert (rows.tolist(), lengths.tolist()) == ([[0, 0], [2, 3], [4, 0]], [0, 2, 1])


def test_users_without_a_history_get_the_popularity(model: RecommendationModel) -> None:
    world = make_world()
    vectors = model.encode_items(model.item_inputs(world.items))
    users = model.encode_users(vectors, [[], [1]], model.user_inputs(world.users.take([0, 1])))
    assert users[:, -1].tolist() == [1.0, 0.0]  # balance=1 leaves it out for users with a history
