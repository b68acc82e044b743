"""The folders of Gemma 3's text model, EmbeddingGemma's among them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig, RotaryConfig
from tfchain.models.weights.architectures.decoder import (
    DECODER_WEIGHTS,
    list_local_layers,
    read_decoder,
    write_decoder,
)
from tfchain.models.weights.architectures.family import Family, to_activation
from tfchain.models.weights.architectures.rotary_settings import read_rotary, write_rotary


def read_gemma3_text(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of Gemma 3's text model: norms before and after, scaled embeddings, local layers."""
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        if values.get(name) is not None:
            raise InputError(f"`{name}` must be none. Received: {values[name]!r}. Use another model.")
    is_both_ways = bool(values.get("use_bidirectional_attention"))
    pattern = values.get("sliding_window_pattern") or values.get("_sliding_window_pattern") or 6
    width, window = values.get("head_dim", 256), values.get("sliding_window", 4096)
    local_base = read_rotary(
        {key: value for key, value in values.items() if key == "rope_parameters"},
        base=values.get("rope_local_base_freq") or 10_000.0,
        kind="sliding_attention",
    ).base
    read = read_decoder(
        {"head_dim": width, **values, "rope_parameters": None},
        norm="rms_plus_one",
        norm_place="both",
        query_key_norm=True,
        is_causal=not is_both_ways,
        # Both ways, the file's number is the width of the window, to both sides; otherwise the tokens seen with one.
        window=window // 2 if is_both_ways else window - 1,
        local_layers=list_local_layers(values, lambda number: (number + 1) % pattern),
        attention_scale=values.get("query_pre_attn_scalar", 256) ** -0.5,
        embedding_scale=values["hidden_size"] ** 0.5,
    )
    rotary = read_rotary(
        values,
        base=1_000_000.0,
        kind="full_attention",
        max_positions=values["max_position_embeddings"],
        local_base=local_base,
    )
    return {**read, "rotary": rotary, "activation": to_activation(values.get("hidden_activation", "gelu_new"))}


def write_gemma3_text(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_gemma3_text` reads."""
    layer, rotary = shape.layer or LayerConfig(), shape.rotary or RotaryConfig()
    written = write_decoder(dataclasses.replace(shape, layer=dataclasses.replace(layer, is_causal=True)))
    del written["hidden_act"], written["mlp_bias"]
    window = layer.window or 0
    return {
        **written,
        "hidden_activation": "gelu_pytorch_tanh" if shape.activation == "gelu_new" else shape.activation,
        "use_bidirectional_attention": not layer.is_causal,
        "sliding_window": window + 1 if layer.is_causal else 2 * window,
        "layer_types": [
            "sliding_attention" if number in layer.local_layers else "full_attention"
            for number in range(shape.num_layers)
        ],
        "query_pre_attn_scalar": _to_scalar(layer, shape),
        "rope_local_base_freq": rotary.local_base,
        **write_rotary(rotary),
    }


def _to_scalar(layer: LayerConfig, shape: TransformerConfig) -> int | float:
    """Returns the number whose root divides attention scores: a whole one, if that gives the same scale."""
    scale = layer.attention_scale or shape.layer_head_dim(0) ** -0.5
    whole = round(scale**-2)
    return whole if whole**-0.5 == scale else scale**-2


GEMMA3_TEXT_WEIGHTS = dataclasses.replace(
    DECODER_WEIGHTS,
    parts={
        **DECODER_WEIGHTS.parts,
        "after_attention_norm": ("post_attention_layernorm",),
        "feed_forward_norm": ("pre_feedforward_layernorm",),
        "after_feed_forward_norm": ("post_feedforward_layernorm",),
    },
)

GEMMA3_TEXT = Family(
    model_class="Gemma3TextModel", weights=GEMMA3_TEXT_WEIGHTS, read=read_gemma3_text, write=write_gemma3_text
)
