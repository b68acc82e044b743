"""Narrower vectors: truncated or projected on principal directions, in a head of the encoder."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfchain import Cluster, Prune, ReduceDimensions
from tfchain.core.errors import InputError
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.recipes import check_recipes
from tfchain.optimization.reduce import find_directions, project, reduce_dimensions

WORDS = ("cat", "dog", "stocks", "monday", "who", "what")
TEXTS = [f"{one} {other}" for one in WORDS for other in WORDS]


@pytest.fixture(scope="module")
def text_encoder(thin_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_truncation_gives_the_first_dimensions_at_length_one(text_encoder: TextEncoder) -> None:
    whole = text_encoder.encode(TEXTS)
    small = reduce_dimensions(text_encoder, ReduceDimensions(6))
    assert small.embedding_dim == 6
    np.testing.assert_allclose(small.encode(TEXTS), unit(whole[:, :6]), atol=1e-6)
    np.testing.assert_array_equal(text_encoder.encode(TEXTS), whole)


def test_pca_projects_on_the_largest_singular_vectors_of_the_texts_vectors(text_encoder: TextEncoder) -> None:
    whole = text_encoder.encode(TEXTS)
    small = reduce_dimensions(text_encoder, ReduceDimensions(4, method="pca"), TEXTS * 2)
    _, _, rows = np.linalg.svd(whole, full_matrices=False)
    expected = unit(whole @ rows[:4].T)
    # The same but for the directions' signs, which products do not show.
    np.testing.assert_allclose(small.encode(TEXTS) @ small.encode(TEXTS).T, expected @ expected.T, atol=1e-5)
    again = reduce_dimensions(text_encoder, ReduceDimensions(4, method="pca"), TEXTS * 2)
    assert again.fingerprint == small.fingerprint != text_encoder.fingerprint


def test_first_dimensions_keep_their_shorter_lengths_and_principal_directions_have_none(thin_model_path: Path) -> None:
    trained = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow", matryoshka_dims=[2, 4, 8])
    assert reduce_dimensions(trained, ReduceDimensions(8)).matryoshka_dims == (2, 4)
    assert reduce_dimensions(trained, ReduceDimensions(16, method="pca"), TEXTS).matryoshka_dims == ()


def test_directions_are_orthonormal_the_most_important_first_with_a_positive_largest_value() -> None:
    vectors = np.array([[3, 0, 0], [-3, 0, 0], [0, 0, -2], [0, 1, 0]], dtype="float32")
    np.testing.assert_allclose(find_directions(vectors, 2), [[1, 0], [0, 0], [0, 1]], atol=1e-7)


@pytest.mark.parametrize("dense", [
    (DenseConfig(in_dim=16, out_dim=12, activation="linear"),),
    (DenseConfig(in_dim=16, out_dim=12, activation="tanh"),),
    (DenseConfig(in_dim=16, out_dim=10, activation="relu"), DenseConfig(in_dim=10, out_dim=8, activation="linear")),
])  # fmt: skip
@pytest.mark.parametrize("normalize", [True, False])
def test_a_last_head_takes_the_projection_in_where_its_activation_lets_it(
    text_encoder: TextEncoder, dense: tuple[DenseConfig, ...], normalize: bool
) -> None:
    keras.utils.set_random_seed(5)
    config = EncoderConfig(transformer=text_encoder.encoder.config.transformer, dense=dense, normalize=normalize)
    encoder = Encoder(config)
    encoder.get_layer(f"dense_{len(dense) - 1}").bias.assign(np.linspace(-1, 1, dense[-1].out_dim))
    inputs = {"token_ids": np.array([[2, 7, 3], [2, 9, 3]]), "padding_mask": np.ones((2, 3), "int32")}
    whole = np.asarray(encoder(inputs))
    rotated = np.linalg.qr(np.random.default_rng(0).normal(size=(dense[-1].out_dim, 4)))[0].astype("float32")
    for directions in (np.eye(dense[-1].out_dim, 4, dtype="float32"), rotated):
        made = project(encoder, directions, normalize=True)
        np.testing.assert_allclose(np.asarray(made(inputs)), unit(whole @ directions), atol=1e-5)
        taken_in = directions is not rotated or dense[-1].activation == "linear"
        assert len(made.config.dense) == len(dense) + (not taken_in)


@pytest.mark.parametrize("recipe", [Prune(0.5), Prune(pattern="2:4"), Cluster(4)], ids=lambda one: one.label)
def test_a_head_that_was_pruned_or_clustered_keeps_its_form(text_encoder: TextEncoder, recipe: Prune | Cluster) -> None:
    keras.utils.set_random_seed(5)
    head = DenseConfig(in_dim=16, out_dim=12, activation="linear")
    config = EncoderConfig(transformer=text_encoder.encoder.config.transformer, dense=(head,), normalize=True)
    formed = recipe.apply(text_encoder.with_encoder(Encoder(config)))
    made = reduce_dimensions(formed, ReduceDimensions(4, "pca"), TEXTS)
    assert [one.out_dim for one in made.encoder.config.dense] == [12, 4]
    for one, other in zip(made.encoder.get_layer("dense_0").get_weights(),
                          formed.encoder.get_layer("dense_0").get_weights(), strict=True):  # fmt: skip
        np.testing.assert_array_equal(one, other)
    again = reduce_dimensions(made, ReduceDimensions(3))  # the head behind takes the next one in
    assert [one.out_dim for one in again.encoder.config.dense] == [12, 3]
    np.testing.assert_allclose(again.encode(TEXTS), unit(made.encode(TEXTS)[:, :3]), atol=1e-5)


def test_a_head_that_selects_dimensions_takes_the_projection_in(text_encoder: TextEncoder) -> None:
    small = reduce_dimensions(text_encoder, ReduceDimensions(8))
    made = reduce_dimensions(small, ReduceDimensions(4, "pca"), TEXTS)
    assert [one.out_dim for one in made.encoder.config.dense] == [4]


def test_a_model_compared_by_scalar_products_keeps_its_lengths(thin_model_path: Path) -> None:
    whole = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow", similarity="dot")
    config = EncoderConfig(transformer=whole.encoder.config.transformer)
    plain = whole.with_encoder(Encoder(config))
    vectors = plain.encode(TEXTS)
    small = reduce_dimensions(plain, ReduceDimensions(5))
    np.testing.assert_allclose(small.encode(TEXTS), vectors[:, :5], atol=1e-5)


def test_a_reduced_model_is_saved_as_sentence_transformers_dense_module(
    text_encoder: TextEncoder, tmp_path: Path
) -> None:
    small = reduce_dimensions(text_encoder, ReduceDimensions(6, "pca"), TEXTS)
    folder = tmp_path / "model"
    folder.mkdir()
    small.save(folder, portable=True)
    assert (folder / "2_Dense" / "model.safetensors").is_file()
    again = TextEncoder.from_pretrained(folder, engine="tensorflow")
    assert again.fingerprint == small.fingerprint
    np.testing.assert_array_equal(again.encode(TEXTS), small.encode(TEXTS))


@pytest.mark.parametrize(("values", "message"), [
    ({"dim": 0}, "`dim` must be a whole number of at least 1. Received: dim=0"),
    ({"dim": 2.5}, "Received: dim=2.5"),
    ({"dim": 4, "method": "umap"}, "`method` of ReduceDimensions must be one of truncate, pca. Received: method="),
])  # fmt: skip
def test_a_recipe_out_of_range_is_one_clear_error(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReduceDimensions(**values)


@pytest.mark.parametrize(("recipe", "texts", "message"), [
    (ReduceDimensions(17), None, "`dim` must be at most the model's 16 dimensions. Received: dim=17"),
    (ReduceDimensions(4, "pca"), None, "finds 4 principal directions in at least as many.*Received: 0. Give more"),
    (ReduceDimensions(4, "pca"), ["cat", "dog", "who"] * 9, "Received: 3. Give more `texts`, or a smaller `dim`"),
])  # fmt: skip
def test_what_does_not_suit_the_model_or_the_texts_is_named(
    text_encoder: TextEncoder, recipe: ReduceDimensions, texts: list[str] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        reduce_dimensions(text_encoder, check_recipes(recipe)[0], texts)
