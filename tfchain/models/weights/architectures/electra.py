"""ELECTRA's folders: BERT whose embeddings may be narrower than its layers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.weights.architectures.bert import BERT_WEIGHTS, read_bert, write_bert
from tfchain.models.weights.architectures.family import Family


def read_electra(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of ELECTRA."""
    width = values.get("embedding_size", 128)
    return {
        **read_bert(values),
        **({} if width == values["hidden_size"] else {"token_embedding_dim": width, "widened": "sum"}),
    }


def write_electra(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_electra` reads."""
    return {**write_bert(shape), "embedding_size": shape.token_embedding_dim or shape.hidden_dim}


ELECTRA = Family(
    model_class="ElectraModel",
    weights=dataclasses.replace(
        BERT_WEIGHTS,
        prefix="electra.",
        embeddings={**BERT_WEIGHTS.embeddings, "embeddings/projection": ("embeddings_project",)},
        language_heads=("discriminator_predictions.", "generator_predictions.", "generator_lm_head."),
    ),
    read=read_electra,
    write=write_electra,
)
