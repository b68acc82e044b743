"""The model of images and texts: other precisions, copies, threads' view of a change, and what it refuses."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.images.image_text_model import ImageTextModel
from tfchain.models.images.quantized import quantize
from tfchain.models.images.small import make_small_model
from tfchain.models.images.towers import make_image_tower, make_text_tower
from tfchain.models.images.two_towers import Temperature, make_two_towers

FIXTURES = Path(__file__).parents[2] / "parity" / "image_fixtures"
FILE = FIXTURES / "pictures" / "photo.jpg"
TEXTS = ["a photo of a cat", "two dogs"]


@pytest.fixture(scope="module")
def model() -> ImageTextModel:
    return ImageTextModel.from_pretrained(FIXTURES / "clip")


def test_one_item_is_a_vector_and_several_are_rows(model: ImageTextModel) -> None:
    np.testing.assert_allclose(model.encode_texts(TEXTS)[0], model.encode_texts(TEXTS[0]), atol=1e-6)
    np.testing.assert_allclose(model.encode_images([FILE])[0], model.encode_images(FILE), atol=1e-6)
    assert model.encode_texts([]).shape == (0, 12)
    with pytest.raises(InputError, match="images\\[1\\]"):
        model.encode_images([FILE, b""])


def test_precisions_keep_the_vectors_and_change_the_fingerprint(model: ImageTextModel) -> None:
    expected = model.encode_texts(TEXTS)
    for precision, least in (("bfloat16", 0.99), ("int8", 0.999)):
        other = model.with_precision(precision)
        assert other.fingerprint != model.fingerprint
        assert (np.sum(other.encode_texts(TEXTS) * expected, axis=1) > least).all()
    assert model.with_precision("int8").plain().fingerprint == model.fingerprint
    with pytest.raises(InputError, match="`precision` of a model of images must be one of"):
        model.with_precision("float16")
    with pytest.raises(InputError, match="`engine` of a model of images must be"):
        model.with_precision("int8", engine="litert")


def test_matrices_are_rounded_by_columns() -> None:
    numbers, scales = quantize(np.array([[1.0, -2.0], [0.5, 0.0]], "float32"))
    np.testing.assert_array_equal(numbers, [[127, -127], [64, 0]])  # 63.5 to the even number
    np.testing.assert_allclose(scales, [1 / 127, 2 / 127])


def test_a_copy_has_weights_of_its_own(model: ImageTextModel) -> None:
    copy = model.copy()
    assert copy.fingerprint == model.fingerprint
    copy.set_weights([weight * 0.5 for weight in copy.keras_model.get_weights()])
    assert copy.fingerprint != model.fingerprint
    before = model.encode_texts(TEXTS)
    assert not np.allclose(copy.encode_texts(TEXTS), before)
    np.testing.assert_array_equal(model.encode_texts(TEXTS), before)


def test_a_workload_runs_and_files_are_written(model: ImageTextModel, tmp_path: Path) -> None:
    model.run([{"text": "a"}, {"seed": 1}], batch_size=2)
    model.run_one({"text": "a"})
    model.with_precision("int8").write_served_files(tmp_path)
    loaded = tf.saved_model.load(str(tmp_path)).signatures["embed_ids"]
    assert loaded is not None
    assert (tmp_path / "tokenizer.json").is_file()
    assert model.describe_shape()["precision"] == "float32"


def test_towers_take_other_numbers_of_texts_than_pictures(model: ImageTextModel) -> None:
    image, text = make_image_tower(model.config), make_text_tower(model.config)
    assert image(np.zeros((3, 16, 16, 3), "float32")).shape == (3, 12)
    ids = {name: np.ones((2, 5), "int32") for name in ("token_ids", "padding_mask")}
    assert text(ids).shape == (2, 12)


def test_the_temperature_multiplies_cosines() -> None:
    layer = Temperature(has_bias=True, scale=np.log(2.0), bias=-1.0)
    logits = layer(np.array([[3.0, 0.0]], "float32"), np.array([[0.0, 5.0], [2.0, 0.0]], "float32"))
    np.testing.assert_allclose(logits, [[-1.0, 1.0]], atol=1e-6)
    assert Temperature.from_config(layer.get_config()).get_config() == layer.get_config()


def test_the_keras_model_survives_its_configuration(model: ImageTextModel) -> None:
    again = keras.Model.from_config(model.keras_model.get_config())
    again.set_weights(model.keras_model.get_weights())
    np.testing.assert_allclose(model.with_keras_model(again).encode_texts(TEXTS), model.encode_texts(TEXTS), atol=1e-6)


@pytest.mark.parametrize("sigmoid", [False, True])
def test_small_models_have_the_asked_shape_and_are_saved(sigmoid: bool, tmp_path: Path) -> None:
    captions = ["a red cat", "the blue dog", "a cat and a dog"]
    shape = {"image_size": 16, "dim": 32, "num_layers": 1, "vocabulary_size": 540}
    model = make_small_model(captions, sigmoid=sigmoid, **shape)
    assert (model.embedding_dim, model.config.image.num_patches) == (32, 64)
    assert model.fingerprint == make_small_model(captions, sigmoid=sigmoid, **shape).fingerprint  # by the seed
    assert len(model.tokenizer(["red cat"])[0]) <= 4 + 2
    model.save(tmp_path)
    assert ImageTextModel.from_pretrained(tmp_path).fingerprint == model.fingerprint
    weights = make_two_towers(model.config, seed=1).get_weights()
    assert len(weights) == len(model.keras_model.get_weights())


def test_small_models_refuse_what_does_not_fit() -> None:
    for options, message in (
        ({"image_size": 20}, "`image_size` must be a multiple of 8"),
        ({"dim": 40}, "`dim` must be a multiple of 32"),
        ({"vocabulary_size": 100}, "at least 514 tokens"),
    ):
        with pytest.raises(InputError, match=message):
            make_small_model(["a"], **options)
    with pytest.raises(InputError, match="A vocabulary needs texts"):
        make_small_model([" "])
