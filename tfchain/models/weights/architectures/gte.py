"""The folders of GTE v1.5 and its multilingual models, as Alibaba's own code and as transformers write them."""

from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.weights.architectures.family import Family, WeightMap, read_shape, write_shape
from tfchain.models.weights.architectures.nomic_bert import POST_NORM_EMBEDDINGS, POST_NORM_PARTS
from tfchain.models.weights.architectures.rotary_settings import read_rotary, write_rotary

# Settings of Alibaba's own code (`model_type` "new") that tfchain computes only with these values.
PLAIN = {"position_embedding_type": "rope", "layer_norm_type": "layer_norm", "logn_attention_scale": False}


def read_gte(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of GTE: post-norm, rotary with or without NTK scaling, gated."""
    for name, plain in PLAIN.items():
        if values.get(name, plain) != plain:
            raise InputError(f"`{name}` must be {plain!r}. Received: {values[name]!r}. Use another model.")
    base = 10_000.0 if values.get("model_type") == "new" else 160_000.0
    return {
        **read_shape(values, token_types=1, dropout=0.1, attention_dropout=0.0),
        "rotary": read_rotary(values, base=base, max_positions=values["max_position_embeddings"]),
        "layer": LayerConfig(intermediate_bias=False, gate="second"),
    }


def write_gte(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_gte` reads.

    transformers has no NTK scaling; a folder with it is written for Alibaba's own code.
    """
    is_own = shape.rotary is not None and shape.rotary.scaling == "ntk"
    rotary = write_rotary(shape.rotary)
    if is_own:
        rotary["rope_scaling"]["type"] = rotary["rope_scaling"].pop("rope_type")
    return {
        **({"model_type": "new", **OWN_CODE} if is_own else {}),
        **write_shape(shape),
        "type_vocab_size": shape.num_token_types,
        **rotary,
    }


OWN_CODE: Mapping[str, Any] = {
    "architectures": ["NewModel"],
    "auto_map": {
        "AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig",
        "AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel",
    },
    "position_embedding_type": "rope",
    "layer_norm_type": "layer_norm",
    "pack_qkv": True,
}

GTE_WEIGHTS = WeightMap(  # of Alibaba's own code, which transformers keeps to
    prefix="new.",
    embeddings=POST_NORM_EMBEDDINGS,
    layers="encoder.layer.{}.",
    parts={
        "attention/query_key_value": ("attention.qkv_proj",),
        "attention/output": ("attention.o_proj",),
        "attention_norm": ("attn_ln",),
        "intermediate": ("mlp.up_gate_proj",),
        "output": ("mlp.down_proj",),
        "feed_forward_norm": ("mlp_ln",),
    },
)

GTE = Family(
    model_class="GteModel",
    weights=GTE_WEIGHTS,
    other_weights=(
        WeightMap(
            prefix="gte.",
            embeddings=POST_NORM_EMBEDDINGS,
            layers="layers.{}.",
            parts={**POST_NORM_PARTS, "intermediate": ("mlp.up_proj", "mlp.gate_proj")},
        ),
    ),
    read=read_gte,
    write=write_gte,
)
