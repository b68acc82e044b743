"""The folders of jina-embeddings-v3, as Jina's own code and as transformers write them."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig, RotaryConfig
from tfchain.models.weights.architectures.bert import read_bert, write_bert
from tfchain.models.weights.architectures.family import Family, WeightMap
from tfchain.models.weights.architectures.nomic_bert import POST_NORM_EMBEDDINGS, POST_NORM_PARTS
from tfchain.models.weights.architectures.rotary_settings import read_rotary, write_rotary


def read_jina_v3(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of jina-embeddings-v3: XLM-RoBERTa's keys, with rotary positions."""
    read = read_bert({**values, "position_embedding_type": "absolute"})
    if "rotary_emb_base" in values or values.get("position_embedding_type") == "rotary":  # Jina's own code
        rotary = RotaryConfig(base=float(values.get("rotary_emb_base") or 10_000.0))
    else:
        rotary = read_rotary(values, base=20_000.0, max_positions=values["max_position_embeddings"])
    return {
        **read,
        # XLM-RoBERTa's two positions for padding are counted, but have no use here.
        "max_positions": values["max_position_embeddings"] - 2,
        "pad_token_id": values.get("pad_token_id", 1),
        "rotary": rotary,
        "layer": LayerConfig(gate="none"),
    }


def write_jina_v3(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_jina_v3` reads, in the keys of transformers."""
    return {
        **write_bert(shape),
        "max_position_embeddings": shape.max_positions + 2,
        **write_rotary(shape.rotary),
    }


JINA_V3_WEIGHTS = WeightMap(  # of Jina's own code, which transformers keeps to
    prefix="roberta.",
    embeddings={**POST_NORM_EMBEDDINGS, "embeddings/norm": ("emb_ln",)},
    layers="encoder.layers.{}.",
    parts={
        "attention/query_key_value": ("mixer.Wqkv",),
        "attention/output": ("mixer.out_proj",),
        "attention_norm": ("norm1",),
        "intermediate": ("mlp.fc1",),
        "output": ("mlp.fc2",),
        "feed_forward_norm": ("norm2",),
    },
)

JINA_V3 = Family(
    model_class="JinaEmbeddingsV3Model",
    weights=JINA_V3_WEIGHTS,
    other_weights=(
        WeightMap(
            prefix="roberta.",
            embeddings=POST_NORM_EMBEDDINGS,
            layers="layers.{}.",
            parts={**POST_NORM_PARTS, "intermediate": ("mlp.fc1",), "output": ("mlp.fc2",)},
        ),
    ),
    read=read_jina_v3,
    write=write_jina_v3,
)
