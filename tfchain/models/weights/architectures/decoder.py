"""What the folders of decoders share: Llama's names of settings and tensors, which the others follow."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.weights.architectures.family import WeightMap, to_activation
from tfchain.models.weights.architectures.rotary_settings import read_rotary, write_rotary


def read_decoder(
    values: Mapping[str, Any],
    *,
    base: float = 10_000.0,
    epsilon: float = 1e-6,
    attention_bias: bool = False,
    query_key_value_bias: bool | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Reads the config.json of a decoder that follows Llama.

    Args:
        values: The file's content.
        base: The base of rotary positions if the file gives none. Default: 10,000.
        epsilon: The epsilon of the normalisations if the file gives none. Default: 1e-6.
        attention_bias: Whether attention's products have biases if the file does not say. Default: False.
        query_key_value_bias: Whether this product has a bias. Default: as the output of attention.
        **options: Arguments of `LayerConfig`, in place of Llama's.
    """
    heads, max_positions = values["num_attention_heads"], values["max_position_embeddings"]
    has_bias = values.get("attention_bias", attention_bias)
    layer: dict[str, Any] = {
        "norm": "rms",
        "norm_place": "pre",
        "embedding_norm": False,
        "final_norm": True,
        "query_key_value_bias": has_bias if query_key_value_bias is None else query_key_value_bias,
        "attention_output_bias": has_bias,
        "intermediate_bias": values.get("mlp_bias", False),
        "output_bias": values.get("mlp_bias", False),
        "queries_per_key": heads // (values.get("num_key_value_heads") or heads),
        "is_causal": bool(values.get("is_causal", True)),  # transformers takes it from any decoder's file
    }
    return {
        "vocabulary_size": values["vocab_size"],
        "hidden_dim": values["hidden_size"],
        "num_layers": values["num_hidden_layers"],
        "num_heads": heads,
        "intermediate_dim": values["intermediate_size"],
        "max_positions": max_positions,
        "head_dim": _read_head_dim(values),
        "activation": to_activation(values.get("hidden_act", "silu")),
        "norm_epsilon": values.get("rms_norm_eps", epsilon),
        "dropout": 0.0,
        "attention_dropout": values.get("attention_dropout") or 0.0,
        "pad_token_id": max(values.get("pad_token_id") or 0, 0),
        "rotary": read_rotary(values, base=base, max_positions=max_positions),
        "layer": LayerConfig(**{**layer, **options}),
    }


def write_decoder(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_decoder` reads."""
    layer = shape.layer or LayerConfig()
    return {
        "hidden_size": shape.hidden_dim,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.layer_heads[0],
        "num_key_value_heads": shape.layer_heads[0] // layer.queries_per_key,
        "head_dim": shape.layer_head_dim(0),
        "intermediate_size": shape.layer_intermediate_dims[0],
        "hidden_act": shape.activation,
        "rms_norm_eps": shape.norm_epsilon,
        "attention_bias": layer.attention_output_bias,
        "mlp_bias": layer.output_bias,
        "attention_dropout": shape.attention_dropout,
        **({} if layer.is_causal else {"is_causal": False}),
        **write_rotary(shape.rotary),
    }


def list_local_layers(values: Mapping[str, Any], is_local: Any) -> tuple[int, ...]:
    """Returns the layers with a window: those of `layer_types`, else those for whose number `is_local` is true."""
    count, kinds = values["num_hidden_layers"], values.get("layer_types")
    if kinds is not None:
        return tuple(number for number in range(count) if kinds[number] == "sliding_attention")
    return tuple(number for number in range(count) if is_local(number))


def _read_head_dim(values: Mapping[str, Any]) -> int | None:
    """Returns the width of a head; None where it follows from the others, as for other architectures."""
    heads, width = values["num_attention_heads"], values.get("head_dim")
    return None if width is None or width * heads == values["hidden_size"] else width


DECODER_WEIGHTS = WeightMap(
    prefix="model.",
    embeddings={
        "embeddings/token": ("embed_tokens",),
        "embeddings/projection": ("embed_projection",),
        "final_norm": ("norm",),
    },
    layers="layers.{}.",
    parts={
        "attention/query_key_value": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention/query_norm": ("self_attn.q_norm",),
        "attention/key_norm": ("self_attn.k_norm",),
        "attention/output": ("self_attn.o_proj",),
        "attention_norm": ("input_layernorm",),
        "intermediate": ("mlp.gate_proj", "mlp.up_proj"),
        "output": ("mlp.down_proj",),
        "feed_forward_norm": ("post_attention_layernorm",),
    },
    language_heads=("lm_head.",),
    task_heads=("score.",),
    buffers=("rotary_emb.inv_freq",),
)
