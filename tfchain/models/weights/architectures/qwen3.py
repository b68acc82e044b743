"""Qwen3's folders, Qwen3-Embedding's among them."""

import functools
from collections.abc import Mapping
from typing import Any

from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.weights.architectures.decoder import (
    DECODER_WEIGHTS,
    list_local_layers,
    read_decoder,
    write_decoder,
)
from tfchain.models.weights.architectures.family import Family


def read_qwen(values: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Reads the config.json of Qwen2 and Qwen3, in which upper layers may have a window.

    Args:
        values: The file's content.
        **options: As for `read_decoder`.
    """
    windows: dict[str, Any] = {}
    if values.get("use_sliding_window") and values.get("sliding_window"):
        local = list_local_layers(values, lambda number: number >= values.get("max_window_layers", 28))
        # The tokens that one attends to, with itself; both ways, the largest distance.
        is_causal = options.get("is_causal", values.get("is_causal", True))
        windows = {"window": values["sliding_window"] - bool(is_causal), "local_layers": local} if local else {}
    return read_decoder(values, **windows, **options)


def write_qwen(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_qwen` reads."""
    layer = shape.layer or LayerConfig()
    if not layer.local_layers:
        return write_decoder(shape)
    kinds = ["sliding_attention" if n in layer.local_layers else "full_attention" for n in range(shape.num_layers)]
    windows = {
        "use_sliding_window": True,
        "sliding_window": (layer.window or 0) + layer.is_causal,
        "layer_types": kinds,
    }
    return {**write_decoder(shape), **windows}


QWEN3 = Family(
    model_class="Qwen3Model",
    weights=DECODER_WEIGHTS,
    read=functools.partial(read_qwen, query_key_norm=True),
    write=write_qwen,
)
