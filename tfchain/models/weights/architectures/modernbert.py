"""ModernBERT's folders."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig, RotaryConfig
from tfchain.models.weights.architectures.family import Family, WeightMap, to_activation
from tfchain.models.weights.architectures.rotary_settings import read_rotary

LOCAL, GLOBAL = "sliding_attention", "full_attention"


def read_modernbert(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of ModernBERT: pre-norm, gated, local attention in all layers but every third."""
    count = values["num_hidden_layers"]
    every = values.get("global_attn_every_n_layers", 3)
    kinds = values.get("layer_types") or [LOCAL if number % every else GLOBAL for number in range(count)]
    local_base = read_rotary(values, base=values.get("local_rope_theta") or 10_000.0, kind=LOCAL).base
    rotary = read_rotary(values, base=values.get("global_rope_theta", 160_000.0), kind=GLOBAL, local_base=local_base)
    has_bias = {"attention": values.get("attention_bias", False), "mlp": values.get("mlp_bias", False)}
    return {
        "vocabulary_size": values["vocab_size"],
        "hidden_dim": values["hidden_size"],
        "num_layers": count,
        "num_heads": values["num_attention_heads"],
        "intermediate_dim": values["intermediate_size"],
        "max_positions": values["max_position_embeddings"],
        "activation": to_activation(values.get("hidden_activation", "gelu")),
        "norm_epsilon": values.get("norm_eps", 1e-5),
        "dropout": values.get("mlp_dropout", 0.0),
        "attention_dropout": values.get("attention_dropout", 0.0),
        "pad_token_id": values.get("pad_token_id") or 0,
        "rotary": rotary,
        "layer": LayerConfig(
            norm_place="pre",
            norm_bias=values.get("norm_bias", False),
            first_norm=False,
            final_norm=True,
            query_key_value_bias=has_bias["attention"],
            attention_output_bias=has_bias["attention"],
            intermediate_bias=has_bias["mlp"],
            output_bias=has_bias["mlp"],
            window=values.get("local_attention", 128) // 2,
            local_layers=tuple(number for number, kind in enumerate(kinds) if kind == LOCAL),
        ),
    }


def write_modernbert(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_modernbert` reads."""
    layer, rotary = shape.layer or LayerConfig(), shape.rotary or RotaryConfig()
    return {
        "hidden_size": shape.hidden_dim,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.layer_heads[0],
        "intermediate_size": shape.layer_intermediate_dims[0],
        "hidden_activation": shape.activation,
        "norm_eps": shape.norm_epsilon,
        "norm_bias": layer.norm_bias,
        "attention_bias": layer.query_key_value_bias,
        "mlp_bias": layer.output_bias,
        "mlp_dropout": shape.dropout,
        "attention_dropout": shape.attention_dropout,
        "local_attention": 2 * (layer.window or 0),
        "layer_types": [LOCAL if number in layer.local_layers else GLOBAL for number in range(shape.num_layers)],
        "global_rope_theta": rotary.base,
        "local_rope_theta": rotary.local_base,
    }


MODERNBERT_WEIGHTS = WeightMap(
    prefix="model.",
    embeddings={
        "embeddings/token": ("embeddings.tok_embeddings",),
        "embeddings/norm": ("embeddings.norm",),
        "embeddings/projection": ("embeddings.projection",),
        "final_norm": ("final_norm",),
    },
    layers="layers.{}.",
    parts={
        "attention/query_key_value": ("attn.Wqkv",),
        "attention/output": ("attn.Wo",),
        "attention_norm": ("attn_norm",),
        "intermediate": ("mlp.Wi",),
        "output": ("mlp.Wo",),
        "feed_forward_norm": ("mlp_norm",),
    },
    language_heads=("head.", "decoder."),
    task_heads=("head.", "classifier."),
)

MODERNBERT = Family(
    model_class="ModernBertModel", weights=MODERNBERT_WEIGHTS, read=read_modernbert, write=write_modernbert
)
