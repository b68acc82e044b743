"""The folders of T5's encoders (sentence-t5, gtr), with a gated feed-forward network (v1.1, mT5) or without."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig
from tfchain.models.weights.architectures.family import Family, WeightMap, to_activation
from tfchain.models.weights.folded_tensors import Folded, FoldedTensors, Tensors

MAX_LENGTH = 512  # tokens; T5 has no limit of its own, and was trained on as many
SHARED, OWN = "shared.weight", "encoder.embed_tokens.weight"
GATED = {"gated-gelu": "gelu_new", "gated-silu": "silu"}


def read_t5(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of T5."""
    feed_forward = values.get("feed_forward_proj", "relu")
    is_gated = feed_forward.startswith("gated-")
    if is_gated and feed_forward not in GATED:
        raise InputError(f"`feed_forward_proj` must be one of {', '.join(GATED)}. Received: {feed_forward!r}.")
    return {
        "architecture": "t5_gated" if is_gated else "t5",
        "vocabulary_size": values["vocab_size"],
        "hidden_dim": values["d_model"],
        "num_layers": values["num_layers"],
        "num_heads": values["num_heads"],
        "head_dim": values["d_kv"],
        "intermediate_dim": values["d_ff"],
        "max_positions": min(values.get("n_positions", MAX_LENGTH), MAX_LENGTH),
        "relative_attention_buckets": values.get("relative_attention_num_buckets", 32),
        "relative_attention_distance": values.get("relative_attention_max_distance", 128),
        "activation": GATED[feed_forward] if is_gated else to_activation(feed_forward),
        "norm_epsilon": values.get("layer_norm_epsilon", 1e-6),
        "dropout": values.get("dropout_rate", 0.1),
        "attention_dropout": values.get("dropout_rate", 0.1),
        "pad_token_id": values.get("pad_token_id") or 0,
        "layer": LayerConfig(
            norm="rms",
            norm_place="pre",
            embedding_norm=False,
            final_norm=True,
            query_key_value_bias=False,
            attention_output_bias=False,
            intermediate_bias=False,
            output_bias=False,
            gate="first" if is_gated else "none",
            attention_scale=1.0,
        ),
    }


def write_t5(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_t5` reads."""
    activation = {"gelu_new": "gelu_new", "silu": "silu"}.get(shape.activation, shape.activation)
    gated = next((name for name, found in GATED.items() if found == shape.activation), "gated-gelu")
    return {
        "model_type": "t5",
        "d_model": shape.hidden_dim,
        "d_kv": shape.layer_head_dim(0),
        "d_ff": shape.layer_intermediate_dims[0],
        "num_layers": shape.num_layers,
        "num_heads": shape.layer_heads[0],
        "n_positions": shape.max_positions,
        "relative_attention_num_buckets": shape.relative_attention_buckets,
        "relative_attention_max_distance": shape.relative_attention_distance,
        "feed_forward_proj": gated if shape.architecture == "t5_gated" else activation,
        "layer_norm_epsilon": shape.norm_epsilon,
        "dropout_rate": shape.dropout,
    }


def fold_embeddings(tensors: Tensors) -> Tensors:
    """Gives the token embedding its usual name, where a folder has only the encoder's own."""
    names = set(tensors)
    if SHARED in names or OWN not in names:
        return tensors

    def keep(table: np.ndarray) -> np.ndarray:
        return table

    return FoldedTensors(tensors, {SHARED: Folded((OWN,), keep, tensors.shape(OWN))}, hidden=(OWN,))


T5_WEIGHTS = WeightMap(
    prefix="transformer.",
    embeddings={
        "embeddings/token": ("shared",),
        "relative_position_bias": ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias",),
        "final_norm": ("encoder.final_layer_norm",),
    },
    layers="encoder.block.{}.",
    parts={
        "attention/query_key_value": tuple(f"layer.0.SelfAttention.{part}" for part in "qkv"),
        "attention/output": ("layer.0.SelfAttention.o",),
        "attention_norm": ("layer.0.layer_norm",),
        "intermediate": ("layer.1.DenseReluDense.wi",),
        "output": ("layer.1.DenseReluDense.wo",),
        "feed_forward_norm": ("layer.1.layer_norm",),
    },
    language_heads=("decoder.", "lm_head.", "encoder.embed_tokens."),
)

T5 = Family(model_class="T5EncoderModel", weights=T5_WEIGHTS, read=read_t5, write=write_t5, fold=fold_embeddings)
GATES = ("layer.1.DenseReluDense.wi_0", "layer.1.DenseReluDense.wi_1")
T5_GATED = dataclasses.replace(
    T5, weights=dataclasses.replace(T5_WEIGHTS, parts={**T5_WEIGHTS.parts, "intermediate": GATES})
)
