"""Nomic's folders, as its own code and as transformers write them."""

from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig, RotaryConfig
from tfchain.models.weights.architectures.family import Family, WeightMap, read_shape, write_shape
from tfchain.models.weights.architectures.rotary_settings import read_rotary, write_rotary

# Settings of Nomic's own code that tfchain computes only with these values.
PLAIN = {
    "prenorm": False,
    "causal": False,
    "use_rms_norm": False,
    "parallel_block": False,
    "mlp_fc1_bias": False,
    "rotary_emb_scale_base": None,
    "moe_every_n_layers": 0,
}
ACTIVATIONS = {"swiglu": "silu", "geglu": "gelu"}


def read_nomic_bert(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of nomic-embed-text v1 and v1.5: post-norm, rotary, gated, hardly any biases."""
    return _read_own(values) if "n_embd" in values else _read_plain(values)


def _read_own(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads what Nomic's own code writes, in GPT-2's keys."""
    for name, plain in PLAIN.items():
        if (values.get(name) or None) != (plain or None):
            raise InputError(f"`{name}` must be {plain!r}. Received: {values[name]!r}. Use another model.")
    activation = values.get("activation_function", "swiglu")
    if activation not in ACTIVATIONS:
        raise InputError(f"`activation_function` must be swiglu or geglu. Received: {activation!r}. Use another model.")
    heads, dim = values["n_head"], values["n_embd"]
    rotated = int(dim // heads * values.get("rotary_emb_fraction", 1.0))
    if not rotated:
        raise InputError("`rotary_emb_fraction` must be above 0. Received: 0. Use another model.")
    positions = values["n_positions"]
    if values.get("rotary_scaling_factor"):  # texts longer than those of the training change the frequencies of all
        positions = min(positions, values.get("max_trained_positions", 2048))
    layer = LayerConfig(
        query_key_value_bias=values.get("qkv_proj_bias", False),
        attention_output_bias=values.get("qkv_proj_bias", False),
        intermediate_bias=False,
        output_bias=values.get("mlp_fc2_bias", False),
    )
    return {
        "vocabulary_size": values["vocab_size"],
        "hidden_dim": dim,
        "num_layers": values["n_layer"],
        "num_heads": heads,
        "intermediate_dim": values["n_inner"],
        "max_positions": positions,
        "num_token_types": values.get("type_vocab_size", 2),
        "activation": ACTIVATIONS[activation],
        "norm_epsilon": values.get("layer_norm_epsilon", 1e-12),
        "dropout": values.get("resid_pdrop", 0.0),
        "attention_dropout": values.get("attn_pdrop", 0.0),
        "pad_token_id": values.get("pad_token_id") or 0,
        "rotary": RotaryConfig(
            base=float(values.get("rotary_emb_base", 10_000)),
            dim=None if rotated == dim // heads else rotated,
            is_interleaved=values.get("rotary_emb_interleaved", False),
        ),
        "layer": layer,
    }


def _read_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads what transformers writes, in BERT's keys."""
    heads, width = values["num_attention_heads"], values.get("head_dim")
    return {
        **read_shape(values, token_types=2, activation="silu", dropout=0.0, attention_dropout=0.0),
        "head_dim": None if width is None or heads * width == values["hidden_size"] else width,
        "rotary": read_rotary(values, base=1000.0, max_positions=values["max_position_embeddings"]),
        "layer": LayerConfig(
            query_key_value_bias=False, attention_output_bias=False, intermediate_bias=False, output_bias=False
        ),
    }


def write_nomic_bert(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_nomic_bert` reads, in the keys of transformers."""
    return {
        **write_shape(shape),
        "head_dim": shape.layer_head_dim(0),
        "type_vocab_size": shape.num_token_types,
        **write_rotary(shape.rotary),
    }


NOMIC_BERT_WEIGHTS = WeightMap(  # of Nomic's own code, which transformers keeps to
    prefix="nomic_bert.",
    embeddings={
        "embeddings/token": ("embeddings.word_embeddings",),
        "embeddings/token_type": ("embeddings.token_type_embeddings",),
        "embeddings/norm": ("emb_ln",),
        "embeddings/projection": ("embeddings.projection",),
    },
    layers="encoder.layers.{}.",
    parts={
        "attention/query_key_value": ("attn.Wqkv",),
        "attention/output": ("attn.out_proj",),
        "attention_norm": ("norm1",),
        "intermediate": ("mlp.fc12", "mlp.fc11"),  # the gate, and what it multiplies
        "output": ("mlp.fc2",),
        "feed_forward_norm": ("norm2",),
    },
)
POST_NORM_PARTS: Mapping[str, tuple[str, ...]] = {  # the names of transformers' own models of this kind
    "attention/query_key_value": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention/output": ("self_attn.o_proj",),
    "attention_norm": ("post_attention_layernorm",),
    "intermediate": ("mlp.gate_proj", "mlp.up_proj"),
    "output": ("mlp.down_proj",),
    "feed_forward_norm": ("post_mlp_layernorm",),
}
POST_NORM_EMBEDDINGS: Mapping[str, tuple[str, ...]] = {
    "embeddings/token": ("embeddings.word_embeddings",),
    "embeddings/token_type": ("embeddings.token_type_embeddings",),
    "embeddings/norm": ("embeddings.LayerNorm",),
    "embeddings/projection": ("embeddings.projection",),
}

NOMIC_BERT = Family(
    model_class="NomicBertModel",
    weights=NOMIC_BERT_WEIGHTS,
    other_weights=(
        WeightMap(prefix="nomic_bert.", embeddings=POST_NORM_EMBEDDINGS, layers="layers.{}.", parts=POST_NORM_PARTS),
    ),
    read=read_nomic_bert,
    write=write_nomic_bert,
)
