"""Shrinking: what is kept is what does most, and what is kept takes over what it can."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_model import save_tiny_model
from tfchain import Shrink
from tfchain.core.errors import InputError
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization import shrink as shrink_module
from tfchain.optimization.importance import Moments, measure_moments, rank_groups, refit
from tfchain.optimization.shrink import choose_layers, count_tokens, factorise, keep_layer_weights, shrink

TEXTS = ["the cat sleeps", "a dog runs", "stocks fell on monday", "who does what", "the dog sleeps on monday", "a cat"]


@pytest.fixture(scope="module")
def text_encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    folder = tmp_path_factory.mktemp("wide") / "bert"
    save_tiny_model(folder, seed=3, hidden_dim=32)
    return TextEncoder.from_pretrained(folder, engine="tensorflow")


def make_moments(rows: np.ndarray) -> Moments:
    features = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    return Moments(features.T @ features)


@pytest.mark.parametrize(("layers", "kept"), [
    (None, (0, 1, 2, 3, 4, 5)), (6, (0, 1, 2, 3, 4, 5)), (3, (0, 2, 5)), (2, (0, 5)), (1, (5,)), ((1, 4), (1, 4)),
])  # fmt: skip
def test_layers_are_spread_evenly_or_named(layers: object, kept: tuple[int, ...]) -> None:
    assert choose_layers(layers, 6) == kept


def test_kept_layers_keep_their_weights_in_a_mean_over_layers(text_encoder: TextEncoder) -> None:
    assert keep_layer_weights((), (0, 2)) == ()
    assert keep_layer_weights((4.0, 1.0, 2.0, 3.0), (0, 2)) == (4.0, 1.0, 3.0)
    encoder = text_encoder.own_encoder
    shape = dataclasses.replace(encoder.config.transformer, layer_weights=(2.0, 1.0, 0.0))
    made = Encoder(dataclasses.replace(encoder.config, transformer=shape))
    made.set_weights(encoder.get_weights())
    averaged = text_encoder.with_encoder(SharedModel(made))

    small = shrink(averaged, Shrink(layers=(0,)))

    assert small.own_encoder.config.transformer.layer_weights == (2.0, 1.0)
    np.testing.assert_allclose(small.encode(TEXTS), averaged.encode(TEXTS), atol=1e-6)  # the last layer has no weight
    narrow = shrink(averaged, Shrink(intermediate_dim=8), TEXTS)
    assert narrow.own_encoder.config.transformer.layer_weights == (2.0, 1.0, 0.0)
    with pytest.raises(InputError, match=r"must keep layers that count in .* Received: layers=\(1,\), layer_weights="):
        keep_layer_weights((0.0, 1.0, 0.0), (1,))


def test_of_many_texts_some_are_looked_at_evenly_spread(
    text_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shrink_module, "TEXTS_LOOKED_AT", 2)
    many = shrink(text_encoder, Shrink(num_heads=1), TEXTS)
    two = shrink(text_encoder, Shrink(num_heads=1), [TEXTS[0], TEXTS[3]])
    for one, other in zip(many.encoder.get_weights(), two.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_moments_are_sums_over_the_tokens_that_are_none_of_padding(text_encoder: TextEncoder) -> None:
    """By hand: each text alone, without padding, through the layers' own parts."""
    encoder = text_encoder.encoder
    expected = [[0.0, 0.0], [0.0, 0.0]]
    for ids in text_encoder.tokenizer(TEXTS):
        ids = np.array([ids], "int32")
        bias = encoder.get_layer("attention_mask")(np.ones_like(ids))
        hidden = encoder.get_layer("embeddings")(ids)
        for number in range(2):
            layer = encoder.get_layer(f"layer_{number}")
            query, key, value = np.split(np.asarray(layer.attention.query_key_value(hidden[0])), 3, axis=1)
            heads = []
            for head in range(2):
                part = slice(head * 16, (head + 1) * 16)
                scores = query[:, part] @ key[:, part].T / 4
                weights = np.exp(scores - scores.max(1, keepdims=True))
                heads.append(weights / weights.sum(1, keepdims=True) @ value[:, part])
            middle = layer.attention_norm(hidden + layer.attention.output_product(np.concatenate(heads, 1))[None])
            for place, rows in enumerate((np.concatenate(heads, 1), np.asarray(layer.intermediate(middle[0])))):
                rows = np.concatenate([rows, np.ones((len(rows), 1))], 1)
                expected[number][place] = expected[number][place] + rows.T @ rows
            hidden = layer(hidden, bias)

    found = measure_moments(text_encoder, TEXTS)

    assert set(found) == {f"layer_{number}/{path}" for number in range(2) for path in ("attention/output", "output")}
    for number, both in enumerate(expected):
        attention, units = found[f"layer_{number}/attention/output"], found[f"layer_{number}/output"]
        np.testing.assert_allclose(attention.features, both[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(units.features, both[1], rtol=1e-4, atol=1e-4)
        assert attention.num_tokens == units.num_tokens == sum(map(len, text_encoder.tokenizer(TEXTS)))


def test_a_groups_rank_is_the_mean_square_of_its_part_of_the_output() -> None:
    random = np.random.default_rng(0)
    rows, kernel = random.normal(size=(50, 6)), random.normal(size=(6, 4))

    ranks = rank_groups(make_moments(rows), kernel, 2)

    for group in range(3):
        part = slice(2 * group, 2 * group + 2)
        assert ranks[group] == pytest.approx(np.mean(np.sum((rows[:, part] @ kernel[part]) ** 2, axis=1)))


def test_kept_features_take_over_what_depends_on_them() -> None:
    """Feature 2 is 3 times feature 0 plus 1: without it nothing need be lost."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(200, 3))
    rows[:, 2] = 3 * rows[:, 0] + 1
    kernel, bias = random.normal(size=(3, 5)), random.normal(size=5)

    small_kernel, small_bias = refit(make_moments(rows), kernel, bias, np.array([0, 1]))

    np.testing.assert_allclose(rows[:, :2] @ small_kernel + small_bias, rows @ kernel + bias, atol=5e-3)
    np.testing.assert_allclose(small_kernel[0], kernel[0] + 3 * kernel[2], atol=5e-3)


def test_refitting_is_least_squares_and_better_than_cutting() -> None:
    random = np.random.default_rng(2)
    rows = random.normal(size=(300, 8)) @ random.normal(size=(8, 8))
    kernel, bias, kept = random.normal(size=(8, 5)), random.normal(size=5), np.array([0, 2, 3, 6])
    whole = rows @ kernel + bias

    small_kernel, small_bias = refit(make_moments(rows), kernel, bias, kept)

    with_one = np.concatenate([rows[:, kept], np.ones((300, 1))], axis=1)
    best = np.linalg.lstsq(with_one, whole, rcond=None)[0]
    np.testing.assert_allclose(small_kernel, best[:-1], atol=2e-2)
    error = np.mean((rows[:, kept] @ small_kernel + small_bias - whole) ** 2)
    assert error <= 1.001 * np.mean((with_one @ best - whole) ** 2)
    assert error < np.mean((rows[:, kept] @ kernel[kept] + bias - whole) ** 2)


def test_a_factorised_table_is_exact_where_its_rank_allows_and_weighs_what_is_frequent() -> None:
    random = np.random.default_rng(3)
    table = random.normal(size=(40, 3)) @ random.normal(size=(3, 8)) + random.normal(size=8)
    narrow, kernel, bias = factorise(table, 3)
    assert (narrow.shape, kernel.shape, bias.shape) == ((40, 3), (3, 8), (8,))
    np.testing.assert_allclose(narrow @ kernel + bias, table, atol=1e-5)

    full = random.normal(size=(40, 8))
    counts = np.zeros(40)
    counts[:5] = 1e6
    plain, weighted = factorise(full, 4), factorise(full, 4, counts)
    error = [np.abs(parts[0] @ parts[1] + parts[2] - full)[:5].max() for parts in (plain, weighted)]
    assert error[1] < 1e-2 < error[0]


def test_a_shrunk_encoder_has_the_shape_asked_for_and_is_near_the_large_one(text_encoder: TextEncoder) -> None:
    before = text_encoder.encode(TEXTS, progress=False)
    recipe = Shrink(num_heads=1, intermediate_dim=40, token_embedding_dim=24)

    made = shrink(text_encoder, recipe, TEXTS)

    shape = made.encoder.config.transformer
    assert (shape.num_heads, shape.intermediate_dim, shape.token_embedding_dim) == (1, 40, 24)
    assert shape.layer_head_dim(0) == 16
    assert made.encoder.count_params() < text_encoder.encoder.count_params()
    cosines = np.sum(made.encode(TEXTS, progress=False) * before, axis=1)
    assert cosines.min() > 0.9
    np.testing.assert_array_equal(text_encoder.encode(TEXTS, progress=False), before)


def test_layers_alone_are_the_large_ones_layers(text_encoder: TextEncoder) -> None:
    made = shrink(text_encoder, Shrink(layers=(1,)))

    for old, new in zip(
        text_encoder.encoder.get_layer("layer_1").get_weights(), made.encoder.get_layer("layer_0").get_weights(),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(old, new)
    assert made.fingerprint != text_encoder.fingerprint


def test_nothing_smaller_is_the_same_model(text_encoder: TextEncoder) -> None:
    made = shrink(text_encoder, Shrink(layers=2, num_heads=2, intermediate_dim=64, token_embedding_dim=32), TEXTS)

    np.testing.assert_allclose(
        made.encode(TEXTS, progress=False), text_encoder.encode(TEXTS, progress=False), atol=1e-6
    )


@pytest.mark.parametrize("recipe", [
    Shrink(layers=1), Shrink(layers=1, num_heads=1, intermediate_dim=40, token_embedding_dim=24), Shrink(num_heads=2),
])  # fmt: skip
def test_a_shrunk_model_survives_saving(recipe: Shrink, text_encoder: TextEncoder, tmp_path: Path) -> None:
    made = shrink(text_encoder, recipe, TEXTS)
    made.save(tmp_path)

    again = TextEncoder.from_pretrained(tmp_path, engine="tensorflow")

    assert again.fingerprint == made.fingerprint
    np.testing.assert_array_equal(again.encode(TEXTS, progress=False), made.encode(TEXTS, progress=False))


def test_tokens_are_counted_with_the_special_ones(text_encoder: TextEncoder) -> None:
    counts = count_tokens(text_encoder, ["the cat", "the dog"])
    vocabulary = text_encoder.tokenizer.tokenizer.get_vocab()
    assert [counts[vocabulary[token]] for token in ("the", "cat", "dog", "[CLS]", "[PAD]")] == [2, 1, 1, 2, 0]


@pytest.mark.parametrize(("values", "message"), [
    ({}, "Shrink must be told what to make smaller"),
    ({"layers": 0}, "`layers` must be a whole number of at least 1"),
    ({"layers": (2, 1)}, "in rising order. Received: layers=.2, 1."),
    ({"layers": ()}, "at least one layer"),
    ({"num_heads": 1.5}, "`num_heads` must be a whole number"),
    ({"intermediate_dim": -1}, "`intermediate_dim` must be a whole number"),
])  # fmt: skip
def test_values_out_of_range_are_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Shrink(**values)


@pytest.mark.parametrize(("recipe", "texts", "message"), [
    (Shrink(layers=3), TEXTS, "`layers` must be at most the model's 2. Received: layers=3"),
    (Shrink(layers=(0, 2)), TEXTS, "`layers` must be below the model's 2 layers"),
    (Shrink(num_heads=3), TEXTS, "`num_heads` must be at most the model's 2. Received: num_heads=3"),
    (Shrink(intermediate_dim=65), TEXTS, "`intermediate_dim` must be at most the model's 64"),
    (Shrink(token_embedding_dim=33), TEXTS, "`token_embedding_dim` must be at most the model's 32"),
    (Shrink(num_heads=1), None, "needs texts to see which heads"),
    (Shrink(intermediate_dim=8), [], "needs texts to see which heads"),
])  # fmt: skip
def test_what_does_not_fit_the_model_is_refused(
    recipe: Shrink, texts: object, message: str, text_encoder: TextEncoder
) -> None:
    with pytest.raises(InputError, match=message):
        shrink(text_encoder, recipe, texts)
