"""The int8 kernels on newer transformers, beside Keras layers whose products NumPy computes in the same 8 bits."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.models.engines.test_native_encoder import product
from tfchain.models import native_library as native
from tfchain.models.encoders.config import EncoderConfig, PoolingConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.engines.kernel_folder import StoredKernels, save_kernels
from tfchain.models.engines.native_encoder import NativeEncoder, find_obstacle_of
from tfchain.models.engines.padding import pad

pytestmark = pytest.mark.skipif(native.find_obstacle() is not None, reason=str(native.find_obstacle()))

BASE: dict[str, Any] = {
    "vocabulary_size": 60, "hidden_dim": 48, "num_layers": 2, "num_heads": 4, "intermediate_dim": 40,
    "max_positions": 400, "norm_epsilon": 1e-3,
}  # fmt: skip
NO_BIASES = {
    f"{name}_bias": False for name in ("norm", "query_key_value", "attention_output", "intermediate", "output")
}
SHAPES: dict[str, dict[str, Any]] = {
    "modernbert": {
        "num_layers": 3,
        "layer": NO_BIASES
        | {"norm_place": "pre", "first_norm": False, "final_norm": True, "window": 9, "local_layers": (1, 2)},
        "rotary": {"base": 160_000.0, "local_base": 10_000.0},
    },
    "qwen3": {
        "head_dim": 20,
        "activation": "silu",
        "layer": NO_BIASES
        | {
            "norm": "rms", "norm_place": "pre", "embedding_norm": False, "final_norm": True, "query_key_norm": True,
            "queries_per_key": 2, "is_causal": True,
        },
        "rotary": {"base": 1e6},
    },
    "wide heads": {
        "architecture": "qwen3", "hidden_dim": 128, "num_heads": 2, "head_dim": 128, "num_layers": 1,
        "layer": NO_BIASES | {"norm": "rms", "norm_place": "pre", "query_key_norm": True, "is_causal": True},
        "rotary": {},
    },
    "gemma3_text": {
        "activation": "gelu_new",
        "layer": NO_BIASES
        | {
            "norm": "rms_plus_one", "norm_place": "both", "embedding_norm": False, "final_norm": True,
            "query_key_norm": True, "queries_per_key": 4, "window": 30, "local_layers": (0,), "attention_scale": 0.2,
            "embedding_scale": 3.0,
        },
        "rotary": {"base": 1e6, "local_base": 1e4},
    },
    "mistral": {  # a window that looks back only
        "activation": "silu",
        "layer": NO_BIASES
        | {"norm": "rms", "norm_place": "pre", "is_causal": True, "window": 5, "local_layers": (0, 1)},
        "rotary": {},
    },
    "nomic_bert": {
        "activation": "silu",
        "num_token_types": 2,
        "layer": {"gate": "second", "query_key_value_bias": False},
        "rotary": {"dim": 6, "is_interleaved": True},
    },
    "gte": {
        "token_embedding_dim": 20,
        "layer": {"embedding_scale": 2.0, "query_key_norm": True},
        "rotary": {"scaling": "ntk", "factor": 2.0, "attention_factor": 1.1, "is_interleaved": True},
    },
    "jina_bert": {"layer": {"has_alibi": True}},
    "eurobert": {"layer": {"gate": "none", "norm_place": "pre", "first_norm": False}},
}  # fmt: skip
LENGTHS = (5, 1, 33, 16, 17, 64, 300)


def make_encoder(name: str) -> Encoder:
    """One with random weights, of which none is 0 or 1."""
    keras.utils.set_random_seed(0)
    modes = ("lasttoken",) if name == "qwen3" else ("mean", "cls")
    transformer = TransformerConfig(**(BASE | {"architecture": name} | SHAPES[name]))
    config = EncoderConfig(transformer=transformer, pooling=PoolingConfig(modes=modes), normalize=True)
    encoder = Encoder(config)
    random = np.random.default_rng(0)
    encoder.set_weights([weight + random.normal(0, 0.1, weight.shape) for weight in encoder.get_weights()])
    return encoder


def make_texts(lengths: tuple[int, ...] = LENGTHS) -> list[list[int]]:
    random = np.random.default_rng(1)
    return [random.integers(0, 60, length).tolist() for length in lengths]


def compute(encoder: Encoder, texts: list[list[int]]) -> np.ndarray:
    rows = [pad([ids], 0) for ids in texts]
    return np.concatenate([np.asarray(encoder({"token_ids": ids, "padding_mask": mask})) for ids, mask in rows])


def use_int8(encoder: Encoder) -> None:
    """Puts the token table on the steps of 8 bits, and lets NumPy compute the layers' products in them."""
    table = encoder.get_layer("embeddings").token.embeddings
    scale = np.abs(np.asarray(table)).max(axis=1, keepdims=True) / 127
    table.assign(np.rint(np.asarray(table) / scale) * scale)
    for layer in encoder._flatten_layers(include_self=False):
        if not isinstance(layer, keras.layers.Dense):
            continue
        if layer.path.startswith("embeddings"):  # its input, a token's row, has steps already
            steps = np.abs(np.asarray(layer.kernel)).max(axis=0) / 127
            layer.kernel.assign(np.rint(np.asarray(layer.kernel) / steps) * steps)
        else:
            layer.call = make_call(layer)


def make_call(dense: Any) -> Any:
    if dense.bias is None:
        dense.bias = 0.0
    return lambda rows, training=None: keras.ops.convert_to_tensor(product(np.asarray(rows), dense), "float32")


@pytest.mark.parametrize("name", SHAPES)
def test_vectors_are_those_of_the_same_products_between_keras_layers(name: str, tmp_path: Path) -> None:
    encoder, texts = make_encoder(name), make_texts()
    assert find_obstacle_of(encoder) is None
    native_encoder = NativeEncoder(encoder, num_threads=2)
    found = native_encoder(texts)
    save_kernels(tmp_path, encoder.config, KerasWeights(encoder))
    np.testing.assert_array_equal(NativeEncoder(StoredKernels(tmp_path))(texts), found)
    np.testing.assert_array_equal(np.concatenate([native_encoder([text]) for text in texts]), found)
    whole = compute(encoder, texts)
    assert np.sum(found * whole, axis=1).min() > 0.99
    use_int8(encoder)
    expected = compute(encoder, texts)
    # Where a value lies between two 8-bit numbers, the last bit of float32 decides; few do.
    error = np.abs(found - expected)
    assert np.median(error) < 1e-5
    assert error.max() < 0.02
    assert np.median(np.abs(found - whole)) > 1e-4  # it is int8
