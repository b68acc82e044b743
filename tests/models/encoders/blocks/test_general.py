"""The general block through a model's life: gradients, LoRA, dropped activations, shrinking, precisions, saving."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfchain import Shrink
from tfchain.core.errors import InputError, TfchainError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.models.encoders.anatomy import find_block, name_layer
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.encoders.general.embeddings import TokenEmbeddings
from tfchain.models.encoders.general.layer import GeneralLayer
from tfchain.models.encoders.general.norms import RMSNorm
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.engines.calibration import measure_input_ranges
from tfchain.models.engines.engine import Computation
from tfchain.models.engines.int8_encoder import make_int8_copy
from tfchain.models.engines.litert_engine import LiteRTEngine
from tfchain.models.engines.native_encoder import find_obstacle_of_shape
from tfchain.models.engines.query_function import make_single_function
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.tensor_files import KERNEL_WEIGHTS
from tfchain.optimization.shrink import shrink
from tfchain.training.fit.training_copy import make_training_copy

FIXTURES = Path(__file__).parents[3] / "parity" / "fixtures"
TEXTS = [
    "the quick brown fox",
    "merge two sorted lists",
    "a dataset",
    "return the n smallest",
    "lists",
    "emoji 👍",
    "a",
    "b",
]
KINDS = ("gemma3_text", "modernbert", "qwen3", "jina_bert")  # norms, gates, windows, groups, biases of every kind


def load(name: str) -> TextEncoder:
    return TextEncoder.from_pretrained(FIXTURES / name, engine="tensorflow")


def find_gradients(encoder: Encoder, hyperparameters: Hyperparameters) -> list[np.ndarray]:
    copy = make_training_copy(encoder, hyperparameters)
    inputs = {
        "token_ids": tf.constant([[5, 9, 7, 3], [8, 3, 1, 1]]),
        "padding_mask": tf.constant([[1] * 4, [1, 1, 0, 0]]),
    }
    with tf.GradientTape() as tape:
        vectors = copy(inputs, training=True)
        value = tf.reduce_sum(vectors * tf.range(float(vectors.shape[1])))
    found = tape.gradient(value, [weight.value for weight in copy.trainable_weights])
    return [tf.convert_to_tensor(gradient).numpy() for gradient in found]


@pytest.mark.parametrize("name", KINDS)
def test_every_weight_has_a_gradient_and_it_is_the_same_computed_again(name: str) -> None:
    encoder = load(name).own_encoder
    plain = find_gradients(encoder, Hyperparameters(dropout=0.0))
    assert len(plain) == len(encoder.weights)
    assert all(np.isfinite(gradient).all() and np.abs(gradient).max() > 0 for gradient in plain)
    for one, again in zip(plain, find_gradients(encoder, Hyperparameters(dropout=0.0, remat=True)), strict=True):
        np.testing.assert_allclose(again, one, atol=1e-4 * max(1, np.abs(one).max()))


def test_lora_trains_two_matrices_of_each_product() -> None:
    encoder = load("qwen3").own_encoder
    copy = make_training_copy(encoder, Hyperparameters(lora_rank=2))
    trained = {weight.path for weight in copy.trainable_weights}
    products = [f"{name_layer(n)}/{path}" for n in range(2) for path in find_block(encoder.config.transformer).products]
    assert trained == {f"{path}/lora_kernel_{part}" for path in products for part in "ab"}


def test_a_step_in_mixed_bfloat16_is_finite() -> None:
    gradients = find_gradients(load("gemma3_text").own_encoder, Hyperparameters(dtype_policy="mixed_bfloat16"))
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("name", ["qwen3", "gte"])
def test_shrinking_leaves_out_heads_with_their_keys_and_units_that_do_nothing(name: str) -> None:
    text_encoder = load(name)
    encoder = text_encoder.own_encoder
    config = encoder.config.transformer
    shared = config.layer.queries_per_key
    width = config.layer_head_dim(0)
    for weight in encoder.weights:
        array = np.asarray(weight).copy()
        if weight.path.endswith("attention/output/kernel"):
            array[: shared * width] = 0  # the first head, or the group that shares the first head of keys
        if weight.path.endswith("/output/kernel") and not weight.path.endswith("attention/output/kernel"):
            array[[0, 2, 5]] = 0
        weight.assign(array)
    text_encoder.refresh()
    small = shrink(text_encoder, Shrink(num_heads=4 - shared, intermediate_dim=17), TEXTS)
    made = {path: array.shape for path, array in KerasWeights(small.encoder).items()}
    assert made["layer_1/attention/query_key_value/kernel"][1] == (4 - shared + 2 * (4 - shared) // shared) * width
    assert made["layer_1/intermediate/kernel"][1] == 2 * 17
    assert ("layer_0/attention/output/bias" in made) == (name == "gte")
    np.testing.assert_allclose(small.encode(TEXTS), text_encoder.encode(TEXTS), atol=2e-4)


def test_shrinking_layers_keeps_their_windows() -> None:
    text_encoder = load("modernbert")
    small = shrink(text_encoder, Shrink(layers=(1, 2), token_embedding_dim=8), TEXTS)
    assert small.config.transformer.layer.local_layers == (0, 1)
    weights = KerasWeights(text_encoder.own_encoder)
    kept = KerasWeights(small.own_encoder)
    np.testing.assert_array_equal(kept["layer_0/attention_norm/gamma"], weights["layer_1/attention_norm/gamma"])
    np.testing.assert_array_equal(kept["final_norm/gamma"], weights["final_norm/gamma"])
    assert kept["embeddings/token/embeddings"].shape[1] == 8
    assert np.isfinite(small.encode(TEXTS)).all()


def test_heads_that_cannot_be_left_out_are_named() -> None:
    with pytest.raises(InputError, match="share a bias for each head, as in MPNet and with ALiBi"):
        shrink(load("jina_bert"), Shrink(num_heads=2), TEXTS)
    with pytest.raises(InputError, match="`num_heads` must be a multiple of 2, the query heads that share"):
        shrink(load("qwen3"), Shrink(num_heads=3), TEXTS)


def test_calibrated_int8_says_that_it_does_not_have_it() -> None:
    text_encoder = load("qwen3")
    encoder = text_encoder.own_encoder
    assert find_obstacle_of_shape(encoder.config) is None  # the kernels have it
    ranges = measure_input_ranges(encoder, text_encoder.calibrate(TEXTS))
    assert set(ranges) == {
        f"{name_layer(number)}/{path}"
        for number in range(2)
        for path in find_block(encoder.config.transformer).products
    }
    with pytest.raises(TfchainError, match="layers of the class GeneralLayer\\. Use .* without calibration"):
        make_int8_copy(encoder, ranges)


def test_large_ones_are_left_to_tensorflow_in_float32() -> None:
    config = load("qwen3").config
    for num_weights, precision, is_left in (
        (99_999_999, "float32", False),
        (100_000_000, "float32", True),
        (100_000_000, "float16", False),
    ):
        shared: Any = SimpleNamespace(config=config, num_weights=num_weights)
        obstacle = LiteRTEngine.find_obstacle(Computation(shared, precision, cache_key="known"))  # type: ignore[arg-type]
        assert ("TensorFlow computes a large encoder" in str(obstacle)) == is_left


@pytest.mark.parametrize("name", ["gemma3_text", "jina_bert"])
def test_a_query_alone_is_computed_without_padding(name: str) -> None:
    text_encoder = load(name)
    ids = np.array(text_encoder.tokenizer([TEXTS[1]]), dtype="int32")
    found = make_single_function(text_encoder.own_encoder)(tf.constant(ids), tf.ones_like(ids))["embedding"]
    np.testing.assert_allclose(found, text_encoder.encode(TEXTS[1:2]), atol=1e-5)


def test_a_folder_in_int8_is_saved_with_weights_for_the_kernels(tmp_path: Path) -> None:
    text_encoder = load("nomic_bert").with_precision("int8", engine="auto")
    text_encoder.save(tmp_path)
    assert (tmp_path / KERNEL_WEIGHTS).is_file()
    again = TextEncoder.from_pretrained(tmp_path)
    assert (again.precision, again.fingerprint) == ("int8", text_encoder.fingerprint)
    np.testing.assert_allclose(again.encode(TEXTS), text_encoder.encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize("options", [{"norm": "rms_plus_one", "norm_place": "both", "gate": "second"}, {"window": 2}])
def test_layers_survive_their_configuration(options: dict[str, Any]) -> None:
    plain = {"num_heads": 2, "head_dim": 4, "hidden_dim": 8, "intermediate_dim": 6, "options": LayerConfig(**options)}
    layer = GeneralLayer(**plain, name="layer")
    again = GeneralLayer.from_config(layer.get_config())
    again.build()
    assert again.options == layer.options
    assert [weight.path for weight in again.weights] == [
        f"layer/{path}" for path in _list_paths(LayerConfig(**options))
    ]
    embeddings = TokenEmbeddings(vocabulary_size=5, hidden_dim=8, options=LayerConfig(embedding_scale=3.0))
    assert TokenEmbeddings.from_config(embeddings.get_config()).options.embedding_scale == 3.0


def _list_paths(layer: LayerConfig) -> list[str]:
    from tfchain.models.encoders.blocks.general import GENERAL
    from tfchain.models.encoders.config import TransformerConfig

    shape = TransformerConfig(
        architecture="gte", vocabulary_size=5, hidden_dim=8, num_layers=1, num_heads=2, intermediate_dim=6,
        max_positions=9, layer=layer,
    )  # fmt: skip
    return [path for path, _ in GENERAL.list_layer_shapes(shape, 0)]


def test_the_root_mean_square_norm_by_hand() -> None:
    values = np.array([[3.0, 4.0]], "float32")
    for plus_one, expected in ((False, 2 * values), (True, 3 * values)):
        norm = RMSNorm(epsilon=0.0, plus_one=plus_one)
        norm.build((None, 2))
        norm.gamma.assign([2.0, 2.0])
        np.testing.assert_allclose(norm(values), expected / np.sqrt(12.5), rtol=1e-6)
