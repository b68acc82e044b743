"""BERT's folders."""

from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.weights.architectures.family import Family, WeightMap, read_shape, write_shape


def read_bert(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of BERT, and what the families that follow it share with it.

    Raises:
        InputError: if positions are not absolute, or the model is a decoder.
    """
    for name, plain in {"position_embedding_type": "absolute", "is_decoder": False}.items():
        if values.get(name, plain) != plain:
            raise InputError(f"has {name}={values[name]!r}; tfchain reads models of this kind with {plain!r} only.")
    return {
        **read_shape(values, token_types=2, dropout=0.1, attention_dropout=0.1),
    }


def write_bert(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_bert` reads."""
    token_types = {"type_vocab_size": shape.num_token_types} if shape.num_token_types else {}
    return {
        **token_types,
        **write_shape(shape),
    }


BERT_WEIGHTS = WeightMap(
    prefix="bert.",
    other_prefixes=("question_encoder.bert_model.", "ctx_encoder.bert_model."),  # DPR
    embeddings={
        "embeddings/token": ("embeddings.word_embeddings",),
        "embeddings/position": ("embeddings.position_embeddings",),
        "embeddings/token_type": ("embeddings.token_type_embeddings",),
        "embeddings/norm": ("embeddings.LayerNorm",),
        "embeddings/projection": ("embeddings.projection",),
    },
    layers="encoder.layer.{}.",
    parts={
        "attention/query_key_value": ("attention.self.query", "attention.self.key", "attention.self.value"),
        "attention/output": ("attention.output.dense",),
        "attention_norm": ("attention.output.LayerNorm",),
        "intermediate": ("intermediate.dense",),
        "output": ("output.dense",),
        "output_norm": ("output.LayerNorm",),
    },
)

BERT = Family(model_class="BertModel", weights=BERT_WEIGHTS, read=read_bert, write=write_bert)
