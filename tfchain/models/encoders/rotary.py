"""The frequencies of rotary positions, and the slopes of ALiBi, as NumPy computes them once."""

import math

import numpy as np

from tfchain.models.encoders.layer_config import RotaryConfig


def make_frequencies(config: RotaryConfig, head_dim: int, *, is_local: bool = False) -> np.ndarray:
    """Returns the angle by which each pair of features turns from a position to the next, float32 `(dim / 2,)`.

    Pair i turns by base^(-2i/dim) (Su et al. 2021, section 3.2), which the scaling changes. As in PyTorch, everything
    is computed in float32.

    Args:
        config: Base and scaling.
        head_dim: Width of a head; all of it is rotated unless the configuration says otherwise.
        is_local: Whether it is for layers with a window, whose own base is not scaled. Default: False.
    """
    dim = config.dim or head_dim
    exponents = np.arange(0, dim, 2, dtype="float32") / np.float32(dim)
    if is_local and config.local_base is not None:
        return _invert(config.local_base, exponents)
    if config.scaling == "ntk":
        # NTK-aware scaling with a fixed factor (https://kexue.fm/archives/9706): the base times the factor, and all
        # frequencies divided by factor^(2/dim).
        scaled = _invert(config.base * config.factor, exponents) / np.float32(config.factor) ** np.float32(2 / dim)
        return scaled.astype("float32")
    plain = _invert(config.base, exponents)
    if config.scaling == "linear":
        return (plain / np.float32(config.factor)).astype("float32")
    if config.scaling == "llama3":
        return _scale_llama3(plain, config)
    if config.scaling == "yarn":
        return _scale_yarn(plain, config, dim)
    return plain


def make_turns(config: RotaryConfig, head_dim: int, positions: int, *, is_local: bool = False) -> np.ndarray:
    """Returns the cosines, then the sines of each position, float32 `(positions, 2 * dim / 2)`.

    Args:
        config: Base and scaling.
        head_dim: Width of a head.
        positions: How many positions.
        is_local: As for `make_frequencies`. Default: False.
    """
    frequencies = make_frequencies(config, head_dim, is_local=is_local)
    angles = np.arange(positions, dtype="float32")[:, None] * frequencies
    is_scaled = config.attention_factor != 1 and not (is_local and config.local_base is not None)
    turns = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    return turns * np.float32(config.attention_factor) if is_scaled else turns


def make_slopes(num_heads: int) -> np.ndarray:
    """Returns by how much each head's attention scores fall with each token of distance, float32 `(heads,)`.

    For n heads, n a power of 2, head i has 2^(-8i/n); other numbers take every other slope of the next power of 2 for
    the rest (Press et al. 2022, appendix and code).

    Args:
        num_heads: Number of heads.
    """

    def list_slopes(count: int) -> list[float]:
        return [2 ** (-8 * number / count) for number in range(1, count + 1)]

    power = 2 ** math.floor(math.log2(num_heads))
    slopes = list_slopes(power) + list_slopes(2 * power)[::2][: num_heads - power]
    return np.array(slopes, dtype="float32")


def _invert(base: float, exponents: np.ndarray) -> np.ndarray:
    return (np.float32(1) / np.power(np.float32(base), exponents)).astype("float32")


def _scale_llama3(plain: np.ndarray, config: RotaryConfig) -> np.ndarray:
    """Divides low frequencies by the factor, keeps high ones, and interpolates between them (Llama 3.1)."""
    length, factor = config.original_positions or 1, config.factor
    turns = length * plain.astype("float64") / (2 * math.pi)  # within the original maximum length
    low, high = config.low_frequency_factor, config.high_frequency_factor
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return (plain * (kept + (1 - kept) / factor)).astype("float32")


def _scale_yarn(plain: np.ndarray, config: RotaryConfig, dim: int) -> np.ndarray:
    """Divides low frequencies by the factor, keeps high ones, with a ramp between them (Peng et al. 2023, 3.2)."""
    length = config.original_positions or 1

    def find_pair(turns: float) -> float:
        """The pair that turns so often within the original maximum length."""
        return dim * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(config.base))

    first, last = max(math.floor(find_pair(config.beta_fast)), 0), min(math.ceil(find_pair(config.beta_slow)), dim - 1)
    divided = np.clip((np.arange(dim // 2) - first) / max(last - first, 0.001), 0, 1)
    return (plain * (1 - divided + divided / config.factor)).astype("float32")
