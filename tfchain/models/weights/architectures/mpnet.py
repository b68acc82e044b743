"""MPNet's folders."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.weights.architectures.bert import read_bert, write_bert
from tfchain.models.weights.architectures.family import Family, WeightMap


def read_mpnet(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of MPNet."""
    return {
        **read_bert({**values, "type_vocab_size": 0}),
        "pad_token_id": 1,
        "position_offset": 2,  # transformers fixes MPNet's padding id at 1
        "relative_attention_buckets": values.get("relative_attention_num_buckets", 32),
    }


def write_mpnet(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_mpnet` reads."""
    return {"relative_attention_num_buckets": shape.relative_attention_buckets, **write_bert(shape)}


MPNET_WEIGHTS = WeightMap(
    prefix="mpnet.",
    embeddings={
        "embeddings/token": ("embeddings.word_embeddings",),
        "embeddings/position": ("embeddings.position_embeddings",),
        "embeddings/norm": ("embeddings.LayerNorm",),
        "relative_position_bias": ("encoder.relative_attention_bias",),
        "embeddings/projection": ("embeddings.projection",),
    },
    layers="encoder.layer.{}.",
    parts={
        "attention/query_key_value": ("attention.attn.q", "attention.attn.k", "attention.attn.v"),
        "attention/output": ("attention.attn.o",),
        "attention_norm": ("attention.LayerNorm",),
        "intermediate": ("intermediate.dense",),
        "output": ("output.dense",),
        "output_norm": ("output.LayerNorm",),
    },
)

MPNET = Family(model_class="MPNetModel", weights=MPNET_WEIGHTS, read=read_mpnet, write=write_mpnet)
