"""Reads and writes the rotary positions of config.json, in the keys of transformers 4 and 5."""

import math
from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.encoders.layer_config import RotaryConfig


def read_rotary(
    values: Mapping[str, Any], *, base: float, kind: str | None = None, max_positions: int = 0, **more: Any
) -> RotaryConfig:
    """Reads the rotary positions of a config.json.

    Args:
        values: The file's content: `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`.
        base: The base if the file gives none.
        kind: The kind of layer whose parameters are read, such as `full_attention`, where they differ. Default: all.
        max_positions: The maximum length in tokens.
        **more: Other arguments of `RotaryConfig`.

    Raises:
        InputError: for a scaling that tfchain does not compute.
    """
    found: dict[str, Any] = dict(values.get("rope_parameters") or {})
    if kind is not None and isinstance(found.get(kind), Mapping):
        found = dict(found[kind])
    scaling = {**found, **(values.get("rope_scaling") or {})}
    theta = scaling.pop("rope_theta", None) or values.get("rope_theta") or base
    options: dict[str, Any] = {"base": float(theta), **more}
    name = scaling.get("rope_type") or scaling.get("type") or "default"
    if name in ("default", "dynamic"):  # dynamic scaling begins behind the maximum length, where no text gets
        return RotaryConfig(**options)
    if name not in READERS:
        raise InputError(
            f"Rotary positions must be scaled by one of {', '.join(READERS)}. Received: {name!r}. Use another model."
        )
    original = scaling.get("original_max_position_embeddings") or values.get("original_max_position_embeddings")
    scaling["original_max_position_embeddings"] = original or max_positions
    return RotaryConfig(**{**options, "scaling": name, **READERS[name](scaling, max_positions)})


def write_rotary(rotary: RotaryConfig | None) -> dict[str, Any]:
    """Writes what `read_rotary` reads, in the keys that transformers 4 and 5 both read."""
    if rotary is None or rotary.scaling == "none":
        return {"rope_theta": 10_000.0 if rotary is None else rotary.base}
    scaling: dict[str, Any] = {"rope_type": rotary.scaling, "factor": rotary.factor}
    if rotary.scaling == "llama3":
        scaling |= {
            "low_freq_factor": rotary.low_frequency_factor,
            "high_freq_factor": rotary.high_frequency_factor,
            "original_max_position_embeddings": rotary.original_positions,
        }
    if rotary.scaling == "yarn":
        scaling |= {
            "beta_fast": rotary.beta_fast,
            "beta_slow": rotary.beta_slow,
            "attention_factor": rotary.attention_factor,
            "original_max_position_embeddings": rotary.original_positions,
        }
    return {"rope_theta": rotary.base, "rope_scaling": scaling}


def _read_factor(scaling: Mapping[str, Any], max_positions: int) -> dict[str, Any]:
    if scaling.get("mixed_b") is not None:
        raise InputError(f"`mixed_b` of the scaling must be none. Received: {scaling['mixed_b']!r}. Use another model.")
    return {"factor": float(scaling["factor"])}


def _read_llama3(scaling: Mapping[str, Any], max_positions: int) -> dict[str, Any]:
    return {
        "factor": float(scaling["factor"]),
        "low_frequency_factor": float(scaling["low_freq_factor"]),
        "high_frequency_factor": float(scaling["high_freq_factor"]),
        "original_positions": int(scaling["original_max_position_embeddings"]),
    }


def _read_yarn(scaling: Mapping[str, Any], max_positions: int) -> dict[str, Any]:
    if scaling.get("truncate", True) is not True:
        raise InputError("`truncate` of the scaling yarn must be true. Received: false. Use another model.")
    original = int(scaling["original_max_position_embeddings"])
    factor = scaling.get("factor")
    factor = max_positions / original if factor is None else float(factor)
    attention = scaling.get("attention_factor")
    if attention is None:
        numerator, denominator = scaling.get("mscale"), scaling.get("mscale_all_dim")
        attention = (
            _scale_attention(factor, numerator) / _scale_attention(factor, denominator)
            if numerator and denominator
            else _scale_attention(factor, 1)
        )
    return {
        "factor": factor,
        "original_positions": original,
        "beta_fast": float(scaling.get("beta_fast") or 32),
        "beta_slow": float(scaling.get("beta_slow") or 1),
        "attention_factor": float(attention),
    }


def _scale_attention(factor: float, scale: float) -> float:
    """Returns by how much cosines and sines grow (Peng et al. 2023, equation 22)."""
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1


READERS = {"linear": _read_factor, "ntk": _read_factor, "llama3": _read_llama3, "yarn": _read_yarn}
