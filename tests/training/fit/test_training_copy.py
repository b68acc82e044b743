"""The copy that is trained: the same weights, a type and dropout of its own, frozen layers, low-rank additions."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest

from tests.training.conftest import MakeEncoder
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.training.fit.training_copy import make_training_copy, trained_weights

INPUTS = {"token_ids": np.array([[2, 9, 8, 3], [2, 7, 3, 0]]), "padding_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]])}


def make(encoder: Any, **hyperparameters: Any) -> Any:
    return make_training_copy(encoder, Hyperparameters(**hyperparameters))


def change_trained(copy: Any) -> None:
    """Moves what would be trained, as an optimizer would."""
    rng = np.random.default_rng(0)
    for weight in copy.trainable_weights:
        weight.assign_add(rng.normal(size=weight.shape).astype("float32") * 0.1)


def make_general_model(dropout: float = 0.0) -> keras.Model:
    """A user's own encoder in Keras."""
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    padding_mask = keras.Input((None,), dtype="int32", name="padding_mask")
    hidden = keras.layers.Embedding(20, 6, name="table")(token_ids)
    hidden = keras.layers.Dropout(dropout, name="drop")(hidden)
    pooled = keras.layers.GlobalAveragePooling1D()(hidden, mask=keras.ops.not_equal(padding_mask, 0))
    pooled = keras.layers.Dense(5, activation="tanh")(pooled)
    return keras.Model({"token_ids": token_ids, "padding_mask": padding_mask}, keras.layers.Dense(4)(pooled))


def test_a_copy_has_the_weights_and_leaves_the_original_alone(make_encoder: MakeEncoder) -> None:
    encoder = make_encoder(dropout=0.3)
    before = [np.array(weight) for weight in encoder.weights]
    copy = make(encoder)
    assert copy is not encoder
    assert copy.config == encoder.config
    np.testing.assert_allclose(copy(INPUTS), encoder(INPUTS), atol=1e-7)
    change_trained(copy)
    copy(INPUTS, training=True)
    for weight, old, new in zip(encoder.weights, before, copy.weights, strict=True):
        np.testing.assert_array_equal(weight, old)
        assert not np.allclose(new, old)
    assert all(weight.trainable for weight in encoder.weights)
    for new, trained in zip(copy.weights, trained_weights(copy), strict=True):
        np.testing.assert_array_equal(new, trained)


def test_another_dropout_is_in_all_layers_of_the_copy_alone(make_encoder: MakeEncoder) -> None:
    encoder = make_encoder(dropout=0.1)
    copy = make(encoder, dropout=0.5)
    rates = [layer.rate for layer in copy._flatten_layers() if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.5] * 3
    assert (encoder.config.transformer.dropout, encoder.config.transformer.attention_dropout) == (0.1, 0.1)
    assert np.abs(copy(INPUTS, training=True) - copy(INPUTS)).max() > 0.01
    np.testing.assert_allclose(make(encoder, dropout=0)(INPUTS, training=True), encoder(INPUTS), atol=1e-7)


def test_dropout_before_a_head(make_encoder: MakeEncoder) -> None:
    """As a classifier of transformers drops the pooled vector: each number is 0, or 1 / (1 - rate) as large."""
    plain = make_encoder(dropout=0.0)
    dim = plain.config.vector_dim
    head = DenseConfig(in_dim=dim, out_dim=dim, activation="linear", dropout=0.25)
    encoder = Encoder(dataclasses.replace(plain.config, head=head))
    encoder.set_weights([*plain.get_weights(), np.eye(dim, dtype="float32"), np.zeros(dim, "float32")])
    whole = np.array(encoder(INPUTS))
    np.testing.assert_allclose(whole, plain(INPUTS), atol=1e-7)
    for rate, copy in ((0.25, make(encoder)), (0.5, make(encoder, dropout=0.5))):
        made = np.concatenate([np.array(copy(INPUTS, training=True)) / whole for _ in range(50)])
        if rate == 0.25:  # the transformer has none
            np.testing.assert_allclose(made * (1 - rate), np.round(made * (1 - rate)), atol=1e-4)
        assert np.mean(np.abs(made) < 1e-6) == pytest.approx(rate, abs=0.06)


def test_the_seed_decides_on_dropouts_masks_and_each_dropout_has_its_own(make_encoder: MakeEncoder) -> None:
    encoder = make_encoder(dropout=0.5)
    first, again, other = (make(encoder, seed=seed) for seed in (4, 4, 5))
    keras.utils.set_random_seed(99)  # has no say
    outputs = [np.array(copy(INPUTS, training=True)) for copy in (first, again, other)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[0] - outputs[2]).max() > 0.01
    states = [tuple(np.array(value)) for value in first.variables if "seed_generator" in value.path]
    assert len(set(states)) == len(states) == 3


@pytest.mark.parametrize(
    ("freeze", "frozen"),
    [
        (["embeddings"], ["embeddings/"]),
        ("layer_[0-1]", ["layer_0/", "layer_1/"]),
        (["embeddings", "layer_0"], ["embeddings/", "layer_0/"]),
        (["attention"], ["layer_0/attention/", "layer_1/attention/", "layer_2/attention/"]),
        (["layer_2/output"], ["layer_2/output/"]),
        (["embeddings/token*"], ["embeddings/token/", "embeddings/token_type/"]),
    ],
)
def test_frozen_layers_are_those_that_a_pattern_fits(make_encoder: MakeEncoder, freeze: Any, frozen: list[str]) -> None:
    encoder = make_encoder(num_layers=3)
    copy = make(encoder, freeze=freeze)
    paths = {weight.path for weight in copy.weights}
    expected = {path for path in paths if path.startswith(tuple(frozen))}
    assert expected
    assert paths - {weight.path for weight in copy.trainable_weights} == expected
    assert len(encoder.trainable_weights) == len(encoder.weights)


def test_a_pattern_that_fits_no_layer_is_an_error_that_names_layers(make_encoder: MakeEncoder) -> None:
    with pytest.raises(InputError, match=r"'layer_7', which matches none\. Layers: embeddings, layer_0\."):
        make(make_encoder(), freeze=["embeddings", "layer_7"])


def test_freezing_everything_is_an_error(make_encoder: MakeEncoder) -> None:
    with pytest.raises(InputError, match=r"`freeze` leaves nothing to train\. Received: freeze=\['\*'\]"):
        make(make_encoder(), freeze="*")


def test_low_rank_additions_alone_are_trained_and_merge_into_the_kernels(make_encoder: MakeEncoder) -> None:
    encoder = make_encoder()
    copy = make(encoder, lora_rank=2, seed=3)
    products = ("query_key_value", "attention/output", "intermediate", "layer_0/output")
    trained = [weight.path for weight in copy.trainable_weights]
    assert len(trained) == 2 * len(products)
    assert all("lora_kernel" in path for path in trained)
    np.testing.assert_allclose(copy(INPUTS), encoder(INPUTS), atol=1e-7)  # the second matrix begins with zeros
    change_trained(copy)
    merged = trained_weights(copy)
    assert [one.shape for one in merged] == [weight.shape for weight in encoder.weights]
    low_rank = {weight.path: np.array(weight) for weight in copy.trainable_weights}
    for new, old in zip(merged, encoder.weights, strict=True):
        expected = np.array(old)
        if old.path.endswith("/kernel"):
            layer = old.path.removesuffix("/kernel")
            addition = low_rank[f"{layer}/lora_kernel_a"] @ low_rank[f"{layer}/lora_kernel_b"]
            assert np.abs(addition).max() > 0.01
            expected = expected + addition  # alpha is the rank: a factor of 1
        np.testing.assert_allclose(new, expected, atol=1e-6)
    after = make_encoder(seed=9)
    after.set_weights(merged)
    np.testing.assert_allclose(after(INPUTS), copy(INPUTS), atol=1e-5)


def test_with_low_rank_additions_heads_are_trained_as_a_whole(make_encoder: MakeEncoder) -> None:
    config = make_encoder().config
    encoder = Encoder(EncoderConfig(transformer=config.transformer, dense=(DenseConfig(in_dim=8, out_dim=4),)))
    copy = make(encoder, lora_rank=2)
    assert [weight.path for weight in copy.trainable_weights if "lora" not in weight.path] == [
        "dense_0/kernel",
        "dense_0/bias",
    ]


def test_low_rank_additions_in_bfloat16_merge_into_kernels_that_stay_as_exact_as_they_were(
    make_encoder: MakeEncoder,
) -> None:
    encoder = make_encoder()
    copy = make(encoder, lora_rank=2, dtype_policy="mixed_bfloat16")
    for new, old in zip(trained_weights(copy), encoder.weights, strict=True):
        assert new.dtype == "float32"
        np.testing.assert_array_equal(new, old, err_msg=old.path)


def test_mixed_bfloat16_keeps_weights_in_float32_and_the_global_policy_as_it_was(make_encoder: MakeEncoder) -> None:
    encoder = make_encoder()
    before = keras.config.dtype_policy()
    copy = make(encoder, dtype_policy="mixed_bfloat16")
    assert keras.config.dtype_policy() is before
    assert {weight.dtype for weight in copy.weights} == {"float32"}
    layer = copy.get_layer("layer_0")
    assert (layer.compute_dtype, layer.intermediate.compute_dtype, layer.drop.compute_dtype) == ("bfloat16",) * 3
    out = copy(INPUTS)
    assert out.dtype == "float32"
    np.testing.assert_allclose(out, encoder(INPUTS), atol=0.03)
    assert np.abs(out - encoder(INPUTS)).max() > 1e-5


def test_the_global_policy_is_as_it_was_after_an_error_too(make_encoder: MakeEncoder) -> None:
    encoder = make_encoder()
    encoder.config = None  # cannot be copied
    before = keras.config.dtype_policy()
    with pytest.raises((AttributeError, TypeError)):
        make(encoder, dtype_policy="mixed_bfloat16")
    assert keras.config.dtype_policy() is before


def test_any_functional_keras_model_is_copied() -> None:
    model = make_general_model(dropout=0.5)
    copy = make(model, freeze="table", seed=2)
    np.testing.assert_allclose(copy(INPUTS), model(INPUTS), atol=1e-7)
    assert [weight.path.split("/")[-1] for weight in copy.trainable_weights] == ["kernel", "bias"] * 2
    before = [np.array(weight) for weight in model.weights]
    change_trained(copy)
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    np.testing.assert_array_equal(
        make(model, seed=2)(INPUTS, training=True), make(model, seed=2)(INPUTS, training=True)
    )


def test_low_rank_additions_are_for_all_products_of_any_keras_model() -> None:
    # Keras names layers by a counter: the second Dense layer is `dense_1`, which is no head of tfchain's.
    keras.backend.clear_session()
    copy = make(make_general_model(), lora_rank=2)
    assert [weight.path for weight in copy.trainable_weights] == [
        f"{layer}/lora_kernel_{one}" for layer in ("dense", "dense_1") for one in "ab"
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"dtype_policy": "mixed_bfloat16"},
            r"`dtype_policy` needs one of tfchain's own encoders\. Received: Functional",
        ),
        ({"dropout": 0.2}, r"`dropout` needs one of tfchain's own encoders"),
        ({"remat": True}, r"`remat` needs a model with transformer layers of tfchain"),
    ],
)
def test_what_only_tfchains_encoders_can_do_is_an_error_for_others(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(make_general_model(), **values)


def test_low_rank_additions_need_a_product() -> None:
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    model = keras.Model({"token_ids": token_ids}, keras.layers.Embedding(20, 6)(token_ids)[:, 0])
    with pytest.raises(InputError, match="`lora_rank` needs a model with Dense layers"):
        make(model, lora_rank=2)


def test_layers_of_the_same_name_in_inner_models_are_all_frozen() -> None:
    def make_inner(name: str) -> keras.Model:
        inputs = keras.Input((6,))
        return keras.Model(inputs, keras.layers.Dense(6, name="product")(inputs), name=name)

    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    hidden = keras.layers.Embedding(20, 6, name="table")(token_ids)[:, 0]
    model = keras.Model({"token_ids": token_ids}, make_inner("second")(make_inner("first")(hidden)))
    assert [weight.shape for weight in make(model, freeze="product").trainable_weights] == [(20, 6)]


def test_a_model_that_keras_cannot_copy_is_an_error() -> None:
    class OwnModel(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.table = keras.layers.Embedding(20, 6)

        def call(self, inputs: Any) -> Any:
            return keras.ops.mean(self.table(inputs["token_ids"]), axis=1)

    model = OwnModel()
    model(INPUTS)
    with pytest.raises(InputError, match=r"functional Keras model.*Received: OwnModel"):
        make(model)
