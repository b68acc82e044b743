"""Distillation on hidden layers: the loss by NumPy, which layers learn which, and what training makes of them."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_model import save_tiny_model
from tests.training.fit.test_fit import Stop
from tfchain import Distill, Prune, QuantizeAware, compress
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.data.pairs.reading import Pairs
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.distill import distill
from tfchain.optimization.layer_distillation import LayerDistillationHook, map_layers, show_layers
from tfchain.optimization.recipes import Shrink, from_values
from tfchain.optimization.shrink import shrink
from tfchain.training.fit.fit import FitOptions, fit_text_encoder
from tfchain.training.fit.gradients import cached_gradients, plain_gradients
from tfchain.training.fit.training_copy import make_training_copy
from tfchain.training.losses import ScoreDistill

WORDS = ("cat", "dog", "stock", "monday", "sleep", "run", "fell")
TEXTS = [f"the {one} {other}" for one in WORDS for other in WORDS if one != other]
HELD_OUT = ["a cat fell", "who does a dog", "stocks on monday, what a day", "sleep"]


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wide") / "bert"
    save_tiny_model(folder, seed=3, hidden_dim=32)
    return folder


@pytest.fixture(scope="module")
def narrow_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("narrow") / "bert"
    save_tiny_model(folder, seed=5, hidden_dim=16)
    return folder


@pytest.fixture
def teacher(model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(model_path, engine="tensorflow")


@pytest.fixture
def narrow(narrow_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(narrow_path, engine="tensorflow")


def hidden_states(text_encoder: TextEncoder, text: str) -> list[np.ndarray]:
    """What comes out of each layer for a text alone, `(tokens, hidden_dim)`: the layers called one after the other."""
    encoder = text_encoder.encoder
    ids = np.array(text_encoder.tokenizer([text]))
    bias = encoder.get_layer("attention_mask")(np.ones_like(ids))
    hidden, found = encoder.get_layer("embeddings")(ids), []
    for number in range(encoder.config.transformer.num_layers):
        hidden = encoder.get_layer(f"layer_{number}")(hidden, bias)
        found.append(np.array(hidden)[0])
    return found


def distance(student: TextEncoder, teacher: TextEncoder, layers: list[tuple[int, int]], text: str) -> float:
    """The mean squared difference of some layers on a text."""
    left, right = hidden_states(student, text), hidden_states(teacher, text)
    return float(np.mean([np.mean((left[one] - right[other]) ** 2) for one, other in layers]))


def pad(text_encoder: TextEncoder, texts: list[str]) -> dict[str, Any]:
    ids = text_encoder.tokenizer(texts)
    longest = max(map(len, ids)) + 2  # padding behind the longest, too
    return {
        "token_ids": tf.constant([[*one, *[0] * (longest - len(one))] for one in ids]),
        "padding_mask": tf.constant([[1] * len(one) + [0] * (longest - len(one)) for one in ids]),
    }


def step_encoder(hook: LayerDistillationHook, student: TextEncoder) -> keras.Model:
    """Of a student without dropout: what is called with `training=True` shows whether the teacher has any."""
    copy = make_training_copy(student.encoder, Hyperparameters(dropout=0.0))
    hook.prepare(copy)
    return hook.make_step_encoder(copy)


@pytest.mark.parametrize(("sizes", "pairs"), [
    ((3, 6), ((0, 1), (1, 3), (2, 5))),
    ((4, 12), ((0, 2), (1, 5), (2, 8), (3, 11))),  # TinyBERT's own: g(m) = 3 * m
    ((4, 6), ((0, 1), (1, 2), (2, 4), (3, 5))),
    ((2, 2), ((0, 0), (1, 1))),
    ((1, 6), ((0, 5),)),
])  # fmt: skip
def test_layers_are_spread_evenly_and_the_last_learns_the_last(sizes: tuple[int, int], pairs: Any) -> None:
    assert map_layers(*sizes) == pairs


def test_the_loss_is_the_mean_squared_difference_over_tokens_and_not_over_padding(teacher: TextEncoder) -> None:
    student = shrink(teacher, Shrink(layers=1, intermediate_dim=16), TEXTS)
    model = step_encoder(LayerDistillationHook(teacher, weight=3.0), student)

    seen = np.array(model(pad(student, HELD_OUT), training=True))

    np.testing.assert_allclose(seen[:, :-1], student.encode(HELD_OUT), atol=1e-5)
    expected = [3 * distance(student, teacher, [(0, 1)], text) for text in HELD_OUT]
    assert min(expected) > 0.01
    np.testing.assert_allclose(seen[:, -1], expected, rtol=1e-4)


def test_layers_are_compared_alone_where_vectors_are_a_mean_over_them(teacher: TextEncoder) -> None:
    config = teacher.own_encoder.config
    made = Encoder(
        dataclasses.replace(config, transformer=dataclasses.replace(config.transformer, layer_weights=(1.0, 1.0, 1.0)))
    )
    made.set_weights(teacher.own_encoder.get_weights())
    inputs = pad(teacher, TEXTS[:3])
    vectors, first, last = show_layers(made, [0, 1])(inputs)
    np.testing.assert_allclose(vectors, made(inputs), atol=1e-6)
    plain, *states = show_layers(teacher.own_encoder, [0, 1])(inputs)
    assert np.abs(np.asarray(plain) - np.asarray(vectors)).max() > 0.01
    for one, other in zip((first, last), states, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_other_layers_can_be_named(teacher: TextEncoder) -> None:
    student = shrink(teacher, Shrink(intermediate_dim=16), TEXTS)
    layers = [(0, 1), (1, 0)]
    model = step_encoder(LayerDistillationHook(teacher, layers), student)
    expected = [distance(student, teacher, layers, text) for text in HELD_OUT]
    np.testing.assert_allclose(np.array(model(pad(student, HELD_OUT), training=True))[:, -1], expected, rtol=1e-4)


def test_a_narrow_student_is_compared_through_a_matrix_that_is_trained(
    teacher: TextEncoder, narrow: TextEncoder
) -> None:
    hook = LayerDistillationHook(teacher)
    model = step_encoder(hook, narrow)
    (matrix,) = hook.variables()
    expected = []
    for text in HELD_OUT:
        pairs = zip(hidden_states(narrow, text), hidden_states(teacher, text), strict=True)
        expected.append(np.mean([np.mean((one @ np.array(matrix) - other) ** 2) for one, other in pairs]))
    np.testing.assert_allclose(np.array(model(pad(narrow, HELD_OUT), training=True))[:, -1], expected, rtol=1e-4)
    assert [id(one) for one in model.trainable_weights] == [*map(id, model.student.trainable_weights), id(matrix)]
    assert len(model.student.trainable_weights) == len(narrow.encoder.weights)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("mini_batch_size", [1, 3])
def test_gradients_are_those_of_one_tape_and_cached_ones_the_same(
    teacher: TextEncoder, narrow: TextEncoder, mini_batch_size: int
) -> None:
    model = step_encoder(LayerDistillationHook(teacher), narrow)
    texts = pad(narrow, HELD_OUT)
    weights = [one.value for one in model.trainable_weights]

    def loss_of(embeddings: Any, extras: Any) -> Any:
        return tf.reduce_mean(embeddings[..., -1]) + tf.reduce_sum(embeddings[..., :-1] ** 3)

    with tf.GradientTape() as tape:
        loss = loss_of(model(texts, training=True), {})
    expected = [tf.convert_to_tensor(one) for one in tape.gradient(loss, weights)]
    assert float(tf.reduce_max(tf.abs(expected[-1]))) > 1e-3  # the matrix learns
    batch = {"chunks": ((texts["token_ids"], texts["padding_mask"]),), "places": tf.range(len(HELD_OUT))}
    options: dict[str, Any] = {"num_columns": 1, "scale": lambda value: value}
    plain = plain_gradients(model, batch, [loss_of], **options)
    cached = cached_gradients(model, batch, [loss_of], mini_batch_size=mini_batch_size, **options)
    for found in (plain, cached):
        assert float(found[0]) == pytest.approx(float(loss), rel=1e-5)
        for one, other in zip(found[1], expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_hidden_states_come_nearer_than_by_learning_vectors_alone(teacher: TextEncoder, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "other", seed=9, hidden_dim=32)
    student = shrink(TextEncoder.from_pretrained(tmp_path / "other", engine="tensorflow"), Shrink(layers=1))
    held_out = TEXTS[::6]
    texts = [text for text in TEXTS if text not in held_out]
    values: dict[str, Any] = {"epochs": 15, "batch_size": 8, "learning_rate": 1e-2, "dropout": 0.0}

    def mean_distance(one: TextEncoder) -> float:
        return float(np.mean([distance(one, teacher, [(0, 1)], text) for text in held_out]))

    by_layers = distill(student, teacher, Distill(objective="layers", **values), texts, progress=False)
    by_vectors = distill(student, teacher, Distill(**values), texts, progress=False)

    assert mean_distance(by_layers) < mean_distance(by_vectors) / 3 < mean_distance(student) / 6
    cosines = np.sum(by_layers.encode(held_out) * teacher.encode(held_out), axis=1)
    assert np.mean(cosines) > 0.95  # the vectors are learned beside them
    assert by_layers.encoder.config == student.encoder.config


def test_a_narrow_student_learns_layers_and_scores_and_keeps_its_shape(
    teacher: TextEncoder, narrow: TextEncoder
) -> None:
    def difference(one: TextEncoder) -> float:
        """Mean absolute difference of the cosines of texts that were not trained on."""
        left, right = (each.encode(HELD_OUT) for each in (one, teacher))
        return float(np.abs(left @ left.T - right @ right.T).mean())

    recipe = Distill(objective="layers", epochs=20, batch_size=16, learning_rate=3e-3, dropout=0.0)
    made = distill(narrow, teacher, recipe, TEXTS, progress=False)

    assert difference(made) < difference(narrow) / 2
    assert [one.shape for one in made.encoder.weights] == [one.shape for one in narrow.encoder.weights]


@pytest.mark.usefixtures("eager")
def test_a_stopped_training_goes_on_with_its_matrix(
    teacher: TextEncoder, narrow_path: Path, tmp_path: Path, eager: None
) -> None:
    pairs = Pairs((TEXTS[:16],), symmetric=True)
    values = Hyperparameters(epochs=3, batch_size=8, learning_rate=1e-3, dropout=0.1, seed=2)

    def fit(checkpoint: Path, *callbacks: Any) -> Any:
        student = TextEncoder.from_pretrained(narrow_path, engine="tensorflow")
        hooks = [LayerDistillationHook(teacher)]
        named = {"loss": ScoreDistill(), "guide": teacher, "hooks": hooks, "checkpoint": checkpoint}
        options = FitOptions(**named, callbacks=callbacks, length_groups=1, progress=False)
        return fit_text_encoder(student, pairs, values, options).history["loss"], np.array(hooks[0].variables()[0])

    whole = fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "stopped", Stop(5))
    losses, matrix = fit(tmp_path / "stopped")
    np.testing.assert_allclose(losses, whole[0], rtol=1e-6)
    np.testing.assert_allclose(matrix, whole[1], atol=1e-7)


@pytest.mark.parametrize("recipe", [Prune(0.5, end=0.5), QuantizeAware()])
def test_it_works_beside_recipes_that_act_while_training(recipe: Any, teacher: TextEncoder, eager: None) -> None:
    recipes = [Shrink(layers=1), recipe, Distill(objective="layers", epochs=2, batch_size=16, learning_rate=1e-3)]
    made = compress(teacher, recipes, texts=TEXTS, progress=False).text_encoder
    zeros = np.mean(made.encoder.get_layer("layer_0").intermediate.get_weights()[0] == 0)
    assert zeros == (0.5 if isinstance(recipe, Prune) else 0)
    student = shrink(teacher, Shrink(layers=1))
    after, before = (np.mean([distance(one, teacher, [(0, 1)], text) for text in HELD_OUT]) for one in (made, student))
    assert after < before


def test_the_recipe_survives_json() -> None:
    recipe = Distill(objective="layers", layers=[[0, 1], [1, 3]], layer_weight=2.0)  # type: ignore[list-item]
    assert recipe.layers == ((0, 1), (1, 3))
    assert from_values(recipe.to_values()) == recipe
    assert hash(recipe)


@pytest.mark.parametrize(("values", "message"), [
    ({"layers": [(0, 1)]}, "`layers` and `layer_weight` are for the objective 'layers'. Received: objective='embedd"),
    ({"layer_weight": 2.0}, "are for the objective 'layers'"),
    ({"objective": "layers", "layers": []}, "`layers` must be pairs of a student's and a teacher's layer"),
    ({"objective": "layers", "layers": [0, 1]}, "`layers` must be pairs of a student's and a teacher's layer"),
    ({"objective": "layers", "layers": [(0, -1)]}, "`layers` must be a whole number of at least 0"),
    ({"objective": "layers", "layer_weight": 0}, "`layer_weight` must be a number above 0"),
])  # fmt: skip
def test_values_out_of_range_are_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Distill(**values)


def test_layers_that_are_not_there_are_refused(teacher: TextEncoder) -> None:
    for layers, message in (([(2, 1)], "below the student's 2.* Received: 2"), ([(1, 5)], "below the teacher's 2")):
        with pytest.raises(InputError, match=message):
            distill(teacher, teacher, Distill(objective="layers", layers=layers), TEXTS, progress=False)


def test_a_teacher_with_another_tokenizer_or_of_another_kind_is_refused(teacher: TextEncoder) -> None:
    from transformers import BertTokenizer

    words = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "cat"])
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)}, model_max_length=24)
    other = TextEncoder(tokenizer, teacher.encoder, engine="tensorflow")
    with pytest.raises(InputError, match="same tokenizer: .* vocabularies of .* and 8 .the teacher's. tokens"):
        distill(teacher, other, Distill(objective="layers"), TEXTS)
    plain = keras.Model(teacher.encoder.inputs, teacher.encoder.outputs)
    foreign = TextEncoder(teacher.tokenizer.tokenizer, plain, engine="tensorflow")
    with pytest.raises(InputError, match="needs a teacher that is one of tfchain's own encoders"):
        distill(teacher, foreign, Distill(objective="layers"), TEXTS)
