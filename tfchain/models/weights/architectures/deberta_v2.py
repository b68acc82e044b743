"""The folders of DeBERTa v2 and v3, which have the same architecture."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.disentangled_config import DisentangledConfig
from tfchain.models.weights.architectures.bert import BERT_WEIGHTS, read_bert, write_bert
from tfchain.models.weights.architectures.family import Family


def read_deberta(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of DeBERTa v2 and v3."""
    _check(values)
    terms: Any = values.get("pos_att_type") or ()
    terms = terms.lower().split("|") if isinstance(terms, str) else terms
    longest = values.get("max_relative_positions", -1)
    longest = longest if longest > 0 else values["max_position_embeddings"]
    buckets = values.get("position_buckets", -1)
    return {
        **read_bert({"layer_norm_eps": 1e-7, "type_vocab_size": 0, **values}),
        "disentangled": DisentangledConfig(
            span=buckets if buckets > 0 else longest,
            max_distance=longest,
            has_buckets=buckets > 0,
            terms=tuple(terms),
            shares_products=bool(values.get("share_att_key", False)),
            has_norm="layer_norm" in values.get("norm_rel_ebd", "none").lower(),
        ),
    }


def _check(values: Mapping[str, Any]) -> None:
    """Raises an `InputError` for the parts that v2's largest models and early experiments have."""
    expected = {
        "relative_attention": (values.get("relative_attention", False), True),
        "position_biased_input": (values.get("position_biased_input", True), False),
        "conv_kernel_size": (values.get("conv_kernel_size", 0), 0),
        "embedding_size": (values.get("embedding_size", values["hidden_size"]), values["hidden_size"]),
    }
    for name, (found, wanted) in expected.items():
        if found != wanted:
            raise InputError(
                f"`{name}` of DeBERTa must be {wanted!r}, as in DeBERTa v3; v2-xlarge and v2-xxlarge have a "
                f"convolution, which tfchain lacks. Received: {name}={found!r}. Use a DeBERTa v3."
            )


def write_deberta(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_deberta` reads."""
    options = shape.disentangled
    assert options is not None
    return {
        **write_bert(shape),
        "type_vocab_size": shape.num_token_types,
        "relative_attention": True,
        "position_biased_input": False,
        "position_buckets": options.span if options.has_buckets else -1,
        "max_relative_positions": options.max_distance,
        "pos_att_type": list(options.terms),
        "share_att_key": options.shares_products,
        "norm_rel_ebd": "layer_norm" if options.has_norm else "none",
    }


DEBERTA_V2 = Family(
    model_class="DebertaV2Model",
    weights=dataclasses.replace(
        BERT_WEIGHTS,
        prefix="deberta.",
        other_prefixes=(),
        embeddings={
            **BERT_WEIGHTS.embeddings,
            "relative_embeddings": ("encoder.rel_embeddings",),
            "relative_embeddings/norm": ("encoder.LayerNorm",),
        },
        parts={
            **BERT_WEIGHTS.parts,
            "attention/query_key_value": tuple(f"attention.self.{part}_proj" for part in ("query", "key", "value")),
            "attention/position_key": ("attention.self.pos_key_proj",),
            "attention/position_query": ("attention.self.pos_query_proj",),
        },
        language_heads=("lm_predictions.", "mask_predictions.", "cls.", "pooler.", "lm_head."),
    ),
    read=read_deberta,
    write=write_deberta,
)
