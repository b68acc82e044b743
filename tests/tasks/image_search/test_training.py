"""Losses of two towers by hand, and a training: batches, frozen layers, checkpoints, a prune."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.images.config import PictureConfig
from tfchain.models.images.image_text_model import ImageTextModel
from tfchain.tasks.image_search.losses import choose_loss, find_masked, sigmoid_loss, softmax_loss
from tfchain.tasks.image_search.training import fit_two_towers
from tfchain.tasks.image_search.training_rows import PictureRows, make_batches, read_rows, to_training_input
from tfchain.training.fit.options import FitOptions

FIXTURES = Path(__file__).parents[2] / "parity" / "image_fixtures"


@pytest.fixture
def model() -> ImageTextModel:
    return ImageTextModel.from_pretrained(FIXTURES / "clip")


@pytest.fixture(scope="module")
def rows() -> PictureRows:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
    return PictureRows(pixels, ["a cat", "a dog", "a cat", "red", "blue", "green"])


def test_the_softmax_is_the_mean_of_both_directions() -> None:
    logits = np.log(np.array([[3.0, 1.0], [1.0, 1.0]], "float32"))
    images = (np.log(4 / 3) + np.log(2)) / 2  # rows: 3 of 4, 1 of 2
    texts = (np.log(4 / 3) + np.log(2)) / 2  # columns
    assert float(softmax_loss(logits)) == pytest.approx((images + texts) / 2)


def test_the_sigmoid_loss_judges_each_pair_alone() -> None:
    logits = np.array([[2.0, -1.0], [0.0, 1.0]], "float32")
    terms = [np.log1p(np.exp(-2.0)), np.log1p(np.exp(-1.0)), np.log(2.0), np.log1p(np.exp(-1.0))]
    assert float(sigmoid_loss(logits)) == pytest.approx(sum(terms) / 2)


def test_pictures_with_one_caption_are_no_negatives_of_each_other() -> None:
    masked = np.array(find_masked(np.array([7, 8, 7], "int32")))
    np.testing.assert_array_equal(masked, [[0, 0, 1], [0, 0, 0], [1, 0, 0]])
    logits = np.array([[0.0, 0.0, 9.0], [0.0, 0.0, 0.0], [9.0, 0.0, 0.0]], "float32")
    assert float(softmax_loss(logits, masked)) == pytest.approx((2 * np.log(2) + np.log(3)) / 3)
    assert float(sigmoid_loss(logits, masked)) == pytest.approx(7 * np.log(2) / 3)


def test_a_loss_suits_the_model() -> None:
    assert (choose_loss(None, has_bias=False), choose_loss(None, has_bias=True)) == ("softmax", "sigmoid")
    with pytest.raises(InputError, match="must be one of softmax, sigmoid"):
        choose_loss("triplet", has_bias=True)


def test_an_epoch_has_each_row_once_and_a_step_the_same_rows_again(model: ImageTextModel, rows: PictureRows) -> None:
    batches, steps = make_batches(model, rows, batch_size=4, seed=3)
    taken = [batch["captions"].numpy().tolist() for batch in batches.take(4)]
    assert steps == 2
    numbers = sorted(rows.caption_numbers.tolist())
    assert sorted(taken[0] + taken[1]) == sorted(taken[2] + taken[3]) == numbers
    later, _ = make_batches(model, rows, batch_size=4, seed=3, first_step=2)
    assert [batch["captions"].numpy().tolist() for batch in later.take(2)] == taken[2:]
    assert make_batches(model, rows, batch_size=4, seed=3, drop_remainder=True)[1] == 1
    with pytest.raises(InputError, match="no full batch"):
        make_batches(model, rows, batch_size=7, seed=0, drop_remainder=True)


def test_augmentation_sees_numbers_up_to_255_before_they_are_normalised() -> None:
    config = PictureConfig(size=(1, 2), mean=(0.5,) * 3, std=(0.5,) * 3)
    pixels = np.array([[[[0.0] * 3, [255.0] * 3]]], "float32")
    flipped = to_training_input(pixels, config, [keras.layers.Lambda(lambda x: x[:, :, ::-1])])
    np.testing.assert_allclose(flipped[0, 0, :, 0], [1.0, -1.0], atol=1e-6)


def test_rows_are_read_from_a_folder_of_captions(model: ImageTextModel) -> None:
    files = [FIXTURES / "pictures" / name for name in ("photo.jpg", "plain.png")]
    found = read_rows(model, [(files[0], "a"), (files[1], "b")], split="train")
    assert (found.pixels.shape, found.captions) == ((2, 16, 16, 3), ["a", "b"])
    assert found.fingerprint != read_rows(model, [(files[0], "a"), (files[1], "c")], split="train").fingerprint
    several = [{"image": files[0], "caption": caption} for caption in ("a", "b")]  # one picture, two captions
    assert read_rows(model, several, split="train").captions == ["a", "b"]


@pytest.mark.usefixtures("eager")
def test_training_continues_from_a_checkpoint_as_if_it_had_not_stopped(
    model: ImageTextModel, rows: PictureRows, tmp_path: Path
) -> None:
    settings = Hyperparameters(batch_size=3, learning_rate=1e-3, epochs=2)
    whole = model.copy()
    history = fit_two_towers(whole, rows, settings, FitOptions())

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    options = FitOptions(checkpoint=tmp_path / "kept", callbacks=[Stop()])
    before = model.fingerprint
    with pytest.raises(KeyboardInterrupt):
        fit_two_towers(model, rows, settings, options)
    assert model.fingerprint == before  # the weights are written at the end alone
    again = fit_two_towers(model, rows, settings, FitOptions(checkpoint=tmp_path / "kept"))
    np.testing.assert_allclose(again.history["loss"], history.history["loss"], rtol=1e-5)
    for one, other in zip(model.keras_model.get_weights(), whole.keras_model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.usefixtures("eager")
def test_frozen_layers_do_not_change(model: ImageTextModel, rows: PictureRows) -> None:
    def read() -> dict[str, np.ndarray]:
        return {
            f"{tower}/{weight.path}": np.array(weight)
            for tower in ("image_tower", "text_tower")
            for weight in model.keras_model.get_layer(tower).weights
        }

    before = read()
    settings = Hyperparameters(batch_size=6, learning_rate=1e-2, freeze=["image_tower", "text_tower/layer_0"])
    fit_two_towers(model, rows, settings, FitOptions())
    changed = {name for name, array in read().items() if not np.array_equal(array, before[name])}
    assert changed
    assert not any(name.startswith(("image_tower", "text_tower/layer_0")) for name in changed)
    with pytest.raises(InputError, match="`freeze` must match layers"):
        fit_two_towers(model, rows, Hyperparameters(freeze=["nothing"]), FitOptions())
    with pytest.raises(InputError, match="nothing to train"):
        fit_two_towers(model, rows, Hyperparameters(freeze=["*"]), FitOptions())
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with pytest.raises(InputError, match="trained on one device"):
        fit_two_towers(model, rows, Hyperparameters(), FitOptions(strategy=strategy))
