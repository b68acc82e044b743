"""XLM-RoBERTa-XL's folders: XLM-RoBERTa with its normalisations before each sublayer."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.weights.architectures.bert import BERT_WEIGHTS, write_bert
from tfchain.models.weights.architectures.family import Family, WeightMap
from tfchain.models.weights.architectures.roberta import read_roberta


def read_xlm_roberta_xl(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of XLM-RoBERTa-XL."""
    layer = LayerConfig(norm_place="pre", embedding_norm=False, final_norm=True, gate="none")
    return {**read_roberta({"layer_norm_eps": 1e-5, **values}), "layer": layer}


XLM_ROBERTA_XL_WEIGHTS = WeightMap(
    prefix="roberta.",
    embeddings={
        **{part: names for part, names in BERT_WEIGHTS.embeddings.items() if part != "embeddings/norm"},
        "final_norm": ("encoder.LayerNorm",),
    },
    layers="encoder.layer.{}.",
    parts={
        "attention/query_key_value": ("attention.self.query", "attention.self.key", "attention.self.value"),
        "attention/output": ("attention.output.dense",),
        "attention_norm": ("attention.self_attn_layer_norm",),
        "intermediate": ("intermediate.dense",),
        "output": ("output.dense",),
        "feed_forward_norm": ("LayerNorm",),
    },
)

XLM_ROBERTA_XL = Family(
    model_class="XLMRobertaXLModel", weights=XLM_ROBERTA_XL_WEIGHTS, read=read_xlm_roberta_xl, write=write_bert
)
