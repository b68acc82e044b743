"""ALBERT's folders: narrow embeddings, and layers that share their weights (Lan et al. 2020)."""

from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.weights.architectures.bert import read_bert, write_bert
from tfchain.models.weights.architectures.family import Family, WeightMap


def read_albert(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of ALBERT."""
    if values.get("inner_group_num", 1) != 1:
        raise InputError(
            "A group of ALBERT's layers must have one layer (`inner_group_num`), as in every published checkpoint. "
            f"Received: inner_group_num={values['inner_group_num']!r}."
        )
    width, layers, groups = values.get("embedding_size", 128), values["num_hidden_layers"], values["num_hidden_groups"]
    return {
        **read_bert({"hidden_act": "gelu_new", "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0, **values}),
        **({} if width == values["hidden_size"] else {"token_embedding_dim": width, "widened": "sum"}),
        "num_shared_layers": None if groups == layers else groups,
    }


def write_albert(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_albert` reads."""
    return {
        **write_bert(shape),
        "embedding_size": shape.token_embedding_dim or shape.hidden_dim,
        "num_hidden_groups": shape.num_distinct_layers,
        "inner_group_num": 1,
    }


ALBERT_WEIGHTS = WeightMap(
    prefix="albert.",
    embeddings={
        "embeddings/token": ("embeddings.word_embeddings",),
        "embeddings/position": ("embeddings.position_embeddings",),
        "embeddings/token_type": ("embeddings.token_type_embeddings",),
        "embeddings/norm": ("embeddings.LayerNorm",),
        "embeddings/projection": ("encoder.embedding_hidden_mapping_in",),
    },
    layers="encoder.albert_layer_groups.{}.albert_layers.0.",
    parts={
        "attention/query_key_value": ("attention.query", "attention.key", "attention.value"),
        "attention/output": ("attention.dense",),
        "attention_norm": ("attention.LayerNorm",),
        "intermediate": ("ffn",),
        "output": ("ffn_output",),
        "output_norm": ("full_layer_layer_norm",),
    },
    language_heads=("pooler.", "predictions.", "sop_classifier."),
)

ALBERT = Family(model_class="AlbertModel", weights=ALBERT_WEIGHTS, read=read_albert, write=write_albert)
