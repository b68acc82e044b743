"""Qwen2's folders, and those of embedding models that let it attend both ways."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.weights.architectures.decoder import DECODER_WEIGHTS
from tfchain.models.weights.architectures.family import Family
from tfchain.models.weights.architectures.qwen3 import read_qwen, write_qwen

# The code of GTE-Qwen2 and Stella, which transformers runs with trust_remote_code: without a causal mask.
BOTH_WAYS = "modeling_qwen.Qwen2Model"


def read_qwen2(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of Qwen2, whose queries, keys and values alone have biases."""
    code = str((values.get("auto_map") or {}).get("AutoModel", ""))
    is_causal = values.get("is_causal", not code.endswith(BOTH_WAYS))
    return read_qwen({**values, "attention_bias": False}, query_key_value_bias=True, is_causal=is_causal)


QWEN2 = Family(model_class="Qwen2Model", weights=DECODER_WEIGHTS, read=read_qwen2, write=write_qwen)
