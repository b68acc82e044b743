"""Mistral's folders."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.weights.architectures.decoder import DECODER_WEIGHTS, read_decoder, write_decoder
from tfchain.models.weights.architectures.family import Family


def read_mistral(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of Mistral, in which all layers or none have a window."""
    window = values.get("sliding_window", 4096)
    count = values["num_hidden_layers"]
    reach = window - bool(values.get("is_causal", True)) if window else None  # both ways, the largest distance
    windows: dict[str, Any] = {"window": reach, "local_layers": tuple(range(count))} if window else {}
    return read_decoder({**values, "attention_bias": False, "mlp_bias": False}, **windows)


def write_mistral(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_mistral` reads."""
    layer = shape.layer or LayerConfig()
    window = None if layer.window is None or not layer.local_layers else layer.window + layer.is_causal
    return {**write_decoder(shape), "sliding_window": window}


MISTRAL = Family(model_class="MistralModel", weights=DECODER_WEIGHTS, read=read_mistral, write=write_mistral)
