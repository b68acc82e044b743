"""The folders of Jina's second embedding models: BERT with ALiBi and a gated feed-forward network."""

from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.weights.architectures.bert import BERT_WEIGHTS, read_bert, write_bert
from tfchain.models.weights.architectures.family import Family, WeightMap

ACTIVATIONS = {"geglu": "gelu", "reglu": "relu"}


def read_jina_bert(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of jina-embeddings-v2: BERT's keys, and the kind of the feed-forward network."""
    kind = values.get("feed_forward_type", "original")
    if kind not in ACTIVATIONS:
        raise InputError(
            f"`feed_forward_type` must be one of {', '.join(ACTIVATIONS)}. Received: {kind!r}. Use another model."
        )
    return {
        **read_bert({**values, "position_embedding_type": "absolute"}),
        "activation": ACTIVATIONS[kind],
        "layer": LayerConfig(has_alibi=True, intermediate_bias=False),
    }


def write_jina_bert(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_jina_bert` reads, for Jina's own code: transformers has no such model."""
    code = "jinaai/jina-bert-implementation--"
    return {
        **write_bert(shape),
        "model_type": "bert",
        "position_embedding_type": "alibi",
        "feed_forward_type": {activation: kind for kind, activation in ACTIVATIONS.items()}[shape.activation],
        "hidden_act": "gelu",
        "auto_map": {
            "AutoConfig": f"{code}configuration_bert.JinaBertConfig",
            "AutoModel": f"{code}modeling_bert.JinaBertModel",
        },
    }


JINA_BERT_WEIGHTS = WeightMap(
    prefix="bert.",
    embeddings={path: names for path, names in BERT_WEIGHTS.embeddings.items() if path != "embeddings/position"},
    layers=BERT_WEIGHTS.layers,
    parts={
        "attention/query_key_value": BERT_WEIGHTS.parts["attention/query_key_value"],
        "attention/output": BERT_WEIGHTS.parts["attention/output"],
        "attention_norm": BERT_WEIGHTS.parts["attention_norm"],
        "intermediate": ("mlp.gated_layers",),  # the gate is first
        "output": ("mlp.wo",),
        "feed_forward_norm": ("mlp.layernorm",),
    },
)

JINA_BERT = Family(model_class="JinaBertModel", weights=JINA_BERT_WEIGHTS, read=read_jina_bert, write=write_jina_bert)
