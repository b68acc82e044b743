"""The folders of T5, T5 v1.1 and mT5: relative positions, RMS norms before each sublayer, no biases."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.seq2seq.config import Seq2SeqConfig
from tfchain.models.seq2seq.families.family import Seq2SeqFamily, make_attention, make_source_attention
from tfchain.models.weights.architectures.family import to_activation
from tfchain.models.weights.architectures.t5 import GATED, MAX_LENGTH

UNITS = "DenseReluDense"
HEAD = "lm_head.weight"


def read_t5(values: Mapping[str, Any], tensors: set[str]) -> dict[str, Any]:
    """Reads the config.json of T5.

    A folder whose config.json does not say that embeddings are shared has a head of its own, if it has the tensor, and
    its decoder's output is not scaled (v1.1).
    """
    feed_forward = values.get("feed_forward_proj", "relu")
    is_gated = feed_forward.startswith("gated-")
    if is_gated and feed_forward not in GATED:
        raise InputError(f"`feed_forward_proj` must be one of {', '.join(GATED)}. Received: {feed_forward!r}.")
    is_tied = values.get("tie_word_embeddings", True) and values.get("scale_decoder_outputs", True)
    return {
        "vocabulary_size": values["vocab_size"],
        "hidden_dim": values["d_model"],
        "num_layers": values["num_layers"],
        "num_decoder_layers": values.get("num_decoder_layers") or values["num_layers"],
        "num_heads": values["num_heads"],
        "head_dim": values["d_kv"],
        "intermediate_dim": values["d_ff"],
        "has_own_head": HEAD in tensors,
        "head_scale": values["d_model"] ** -0.5 if is_tied else 1.0,
        "positions": "relative",
        "max_positions": values.get("n_positions") or MAX_LENGTH,
        "relative_buckets": values.get("relative_attention_num_buckets", 32),
        "relative_distance": values.get("relative_attention_max_distance", 128),
        "activation": GATED[feed_forward] if is_gated else to_activation(feed_forward),
        "norm": "rms",
        "norm_place": "pre",
        "is_gated": is_gated,
        "has_biases": False,
        "scales_attention": False,
        "norm_epsilon": values.get("layer_norm_epsilon", 1e-6),
        "dropout": values.get("dropout_rate", 0.1),
        "attention_dropout": values.get("dropout_rate", 0.1),
        "pad_token_id": values.get("pad_token_id") or 0,
        "eos_token_id": values.get("eos_token_id", 1),
        "decoder_start_token_id": values.get("decoder_start_token_id") or 0,
    }


def read_mt5(values: Mapping[str, Any], tensors: set[str]) -> dict[str, Any]:
    """Reads the config.json of mT5, whose decoder's output is never scaled."""
    return {**read_t5(values, tensors), "head_scale": 1.0}


def write_t5(shape: Seq2SeqConfig) -> dict[str, Any]:
    """Writes what `read_t5` reads."""
    gated = next((name for name, found in GATED.items() if found == shape.activation), "gated-gelu")
    return {
        "vocab_size": shape.vocabulary_size,
        "d_model": shape.hidden_dim,
        "d_kv": shape.width,
        "d_ff": shape.intermediate_dim,
        "num_layers": shape.num_layers,
        "num_decoder_layers": shape.num_decoder_layers,
        "num_heads": shape.num_heads,
        "n_positions": shape.max_positions,
        "relative_attention_num_buckets": shape.relative_buckets,
        "relative_attention_max_distance": shape.relative_distance,
        "feed_forward_proj": gated if shape.is_gated else shape.activation,
        "layer_norm_epsilon": shape.norm_epsilon,
        "dropout_rate": shape.dropout,
        "tie_word_embeddings": shape.head_scale != 1,
        "pad_token_id": shape.pad_token_id,
        "eos_token_id": shape.eos_token_id,
        "decoder_start_token_id": shape.decoder_start_token_id,
    }


ATTENTION = "layer.0.SelfAttention"
ENCODER = {
    **make_attention("attention", ATTENTION, "{}", "o"),
    "attention_norm": ("layer.0.layer_norm",),
    "intermediate": (f"layer.1.{UNITS}.wi",),
    "gated_intermediate": (f"layer.1.{UNITS}.wi_0", f"layer.1.{UNITS}.wi_1"),
    "output": (f"layer.1.{UNITS}.wo",),
    "feed_forward_norm": ("layer.1.layer_norm",),
}
DECODER = {
    **make_attention("target_attention", ATTENTION, "{}", "o"),
    **make_source_attention("layer.1.EncDecAttention", "{}", "o"),
    "target_norm": ("layer.0.layer_norm",),
    "source_norm": ("layer.1.layer_norm",),
    "intermediate": (f"layer.2.{UNITS}.wi",),
    "gated_intermediate": (f"layer.2.{UNITS}.wi_0", f"layer.2.{UNITS}.wi_1"),
    "output": (f"layer.2.{UNITS}.wo",),
    "feed_forward_norm": ("layer.2.layer_norm",),
}
T5 = Seq2SeqFamily(
    model_class="T5ForConditionalGeneration",
    read=read_t5,
    write=write_t5,
    ends={
        "tokens": ("shared", "encoder.embed_tokens", "decoder.embed_tokens"),
        "head": ("lm_head",),
        "source_bias": (f"encoder.block.0.{ATTENTION}.relative_attention_bias",),
        "target_bias": (f"decoder.block.0.{ATTENTION}.relative_attention_bias",),
        "encoder_norm": ("encoder.final_layer_norm",),
        "decoder_norm": ("decoder.final_layer_norm",),
    },
    encoder_layers="encoder.block.{}.",
    decoder_layers="decoder.block.{}.",
    encoder=ENCODER,
    decoder=DECODER,
    ignored=("embed_tokens.weight", "EncDecAttention.relative_attention_bias.weight"),
)
MT5 = dataclasses.replace(T5, model_class="MT5ForConditionalGeneration", read=read_mt5)
