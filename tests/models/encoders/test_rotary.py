"""Frequencies of rotary positions beside transformers', ALiBi's slopes, and the rotation itself, by hand."""

from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.general.attention import rotate
from tfchain.models.encoders.general.shared_inputs import RotaryTable
from tfchain.models.encoders.layer_config import LayerConfig, RotaryConfig
from tfchain.models.encoders.rotary import make_frequencies, make_slopes
from tfchain.models.weights.architectures.rotary_settings import read_rotary

# `ROPE_INIT_FUNCTIONS` of transformers 5.23 for heads of 16 and the base 10,000, 4,096 positions.
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}
YARN_SCALED = {
    "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 512, "beta_fast": 16, "beta_slow": 2,
    "mscale": 0.7, "mscale_all_dim": 0.5,
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 256,
}  # fmt: skip


@pytest.mark.parametrize(
    ("scaling", "expected", "attention_factor"),
    [
        (YARN, [1, 0.31622776, 0.08125, 0.019764237, 0.004375, 0.00079056947, 0.00025, 7.9056947e-05], 1.13862944),
        (
            YARN_SCALED,
            [1, 0.31622776, 0.070833333, 0.013176158, 0.00125, 0.00039528473, 0.000125, 3.9528473e-05],
            1.03767200,
        ),
        (LLAMA3, [1, 0.31622776, 0.1, 0.0066131069, 0.00125, 0.00039528473, 0.000125, 3.9528473e-05], 1),
        (
            {"type": "linear", "factor": 4.0},
            [0.25, 0.079056941, 0.025, 0.0079056947, 0.0025, 0.00079056947, 0.00025, 7.9056947e-05],
            1,
        ),
        ({"type": "dynamic", "factor": 4.0}, 10_000.0 ** (-np.arange(8) / 8), 1),
    ],
)
def test_scaled_frequencies_are_those_of_transformers(
    scaling: dict[str, Any], expected: list[float], attention_factor: float
) -> None:
    rotary = read_rotary({"rope_theta": 10_000.0, "rope_scaling": scaling}, base=1.0, max_positions=4096)
    np.testing.assert_allclose(make_frequencies(rotary, 16), expected, rtol=2e-6)
    assert rotary.attention_factor == pytest.approx(attention_factor)
    table = RotaryTable(rotary=rotary, head_dim=16)(np.zeros((1, 3)))
    np.testing.assert_allclose(table[0], attention_factor * np.cos(np.outer(np.arange(3), expected)), atol=1e-6)


def test_layers_with_a_window_have_their_own_base_without_scaling() -> None:
    rotary = RotaryConfig(base=100.0, local_base=16.0, scaling="linear", factor=2.0)
    np.testing.assert_allclose(make_frequencies(rotary, 4), [0.5, 0.05])
    np.testing.assert_allclose(make_frequencies(rotary, 4, is_local=True), [1, 0.25])


def test_slopes_fall_by_powers_of_two() -> None:
    np.testing.assert_allclose(make_slopes(8), [2**-n for n in range(1, 9)])
    np.testing.assert_allclose(make_slopes(3), [2**-4, 2**-8, 2**-2])


@pytest.mark.parametrize("is_interleaved", [False, True])
def test_pairs_of_features_turn_as_complex_numbers_and_the_rest_stays(is_interleaved: bool) -> None:
    angles = np.array([[0.0, 0.0], [0.3, 0.03]])
    heads = np.random.default_rng(0).normal(size=(1, 1, 2, 6)).astype("float32")
    found = np.asarray(rotate(heads, np.stack([np.cos(angles), np.sin(angles)]), is_interleaved=is_interleaved))
    pairs = [(0, 1), (2, 3)] if is_interleaved else [(0, 2), (1, 3)]
    for number, (first, second) in enumerate(pairs):
        turned = (heads[0, 0, :, first] + 1j * heads[0, 0, :, second]) * np.exp(1j * angles[:, number])
        np.testing.assert_allclose(found[0, 0, :, first] + 1j * found[0, 0, :, second], turned, atol=1e-6)
    np.testing.assert_array_equal(found[..., 4:], heads[..., 4:])


def make_shape(**changes: Any) -> TransformerConfig:
    values: dict[str, Any] = {
        "architecture": "gte", "vocabulary_size": 9, "hidden_dim": 8, "num_layers": 2, "num_heads": 2,
        "intermediate_dim": 8, "max_positions": 16, "rotary": {},
    }  # fmt: skip
    return TransformerConfig(**values | changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RotaryConfig(dim=3), "`dim` a whole multiple of 2"),
        (lambda: RotaryConfig(scaling="dynamic"), "`scaling` must be one of none, linear, ntk, llama3, yarn"),
        (lambda: RotaryConfig(scaling="yarn", factor=2.0), "`original_positions` must be given for the scaling 'yarn'"),
        (lambda: LayerConfig(norm="batch"), "`norm` must be one of layer, rms, rms_plus_one. Received: norm='batch'"),
        (lambda: LayerConfig(local_layers=(1,)), "`window` must be at least 0 where layers are local"),
        (
            lambda: make_shape(num_heads=(2, 1)),
            "need heads that are the same in all layers. Received: num_heads=\\(2, 1",
        ),
        (lambda: make_shape(num_heads=1, head_dim=3), "an even number of features, at most a head's 3. Received: 3"),
        (lambda: make_shape(rotary={"dim": 6}), "at most a head's 4. Received: 6"),
        (lambda: make_shape(layer={"queries_per_key": 3}), "`num_heads` must be a multiple of .*, 3. Received"),
        (lambda: LayerConfig(queries_per_key=0), "`queries_per_key` must be at least 1"),
    ],
)
def test_values_out_of_range_are_named(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_transformer_that_keeps_some_layers_keeps_their_windows_and_norms() -> None:
    layer = LayerConfig(window=4, local_layers=(1, 2), first_norm=False)
    assert layer.keep_layers((0, 2)) == LayerConfig(window=4, local_layers=(1,), first_norm=False)
    assert layer.keep_layers((2,)) == LayerConfig(window=4, local_layers=(0,), first_norm=True)
