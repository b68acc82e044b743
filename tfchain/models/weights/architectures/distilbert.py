"""DistilBERT's folders."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.weights.architectures.family import Family, WeightMap, to_activation


def read_distilbert(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of DistilBERT."""
    return {
        "vocabulary_size": values["vocab_size"],
        "hidden_dim": values["dim"],
        "num_layers": values["n_layers"],
        "num_heads": values["n_heads"],
        "intermediate_dim": values["hidden_dim"],
        "max_positions": values["max_position_embeddings"],
        "activation": to_activation(values.get("activation", "gelu")),
        "dropout": values.get("dropout", 0.1),
        "attention_dropout": values.get("attention_dropout", 0.1),
        "pad_token_id": values.get("pad_token_id") or 0,
    }


def write_distilbert(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_distilbert` reads."""
    return {
        "dim": shape.hidden_dim,
        "n_layers": shape.num_layers,
        "n_heads": shape.layer_heads[0],
        "hidden_dim": shape.layer_intermediate_dims[0],
        "activation": shape.activation,
        "dropout": shape.dropout,
        "attention_dropout": shape.attention_dropout,
    }


DISTILBERT_WEIGHTS = WeightMap(
    prefix="distilbert.",
    embeddings={
        "embeddings/token": ("embeddings.word_embeddings",),
        "embeddings/position": ("embeddings.position_embeddings",),
        "embeddings/norm": ("embeddings.LayerNorm",),
        "embeddings/projection": ("embeddings.projection",),
    },
    layers="transformer.layer.{}.",
    parts={
        "attention/query_key_value": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        "attention/output": ("attention.out_lin",),
        "attention_norm": ("sa_layer_norm",),
        "intermediate": ("ffn.lin1",),
        "output": ("ffn.lin2",),
        "output_norm": ("output_layer_norm",),
    },
)

DISTILBERT = Family(
    model_class="DistilBertModel", weights=DISTILBERT_WEIGHTS, read=read_distilbert, write=write_distilbert
)
