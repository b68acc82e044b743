"""What Marian and M2M-100 share: the names that transformers' BART gave its parts, and most keys of config.json."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.seq2seq.config import Seq2SeqConfig
from tfchain.models.seq2seq.families.family import make_attention, make_source_attention
from tfchain.models.weights.architectures.family import to_activation

PROJECTION = "{}_proj"
ENCODER = {
    **make_attention("attention", "self_attn", PROJECTION, "out_proj"),
    "attention_norm": ("self_attn_layer_norm",),
    "intermediate": ("fc1",),
    "output": ("fc2",),
    "feed_forward_norm": ("final_layer_norm",),
}
DECODER = {
    **make_attention("target_attention", "self_attn", PROJECTION, "out_proj"),
    **make_source_attention("encoder_attn", PROJECTION, "out_proj"),
    "target_norm": ("self_attn_layer_norm",),
    "source_norm": ("encoder_attn_layer_norm",),
    "intermediate": ("fc1",),
    "output": ("fc2",),
    "feed_forward_norm": ("final_layer_norm",),
}
SHARED = (
    *("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head"),
    *("shared", "encoder.embed_tokens", "decoder.embed_tokens"),
)


def read_sizes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the sizes of config.json."""
    return {
        "vocabulary_size": values["vocab_size"],
        "hidden_dim": values["d_model"],
        "num_layers": values["encoder_layers"],
        "num_decoder_layers": values["decoder_layers"],
        "num_heads": values["encoder_attention_heads"],
        "num_decoder_heads": values["decoder_attention_heads"],
        "intermediate_dim": values["encoder_ffn_dim"],
        "decoder_intermediate_dim": values["decoder_ffn_dim"],
        "max_positions": values["max_position_embeddings"],
        "activation": to_activation(values["activation_function"]),
        "embedding_scale": values["d_model"] ** 0.5 if values.get("scale_embedding") else 1.0,
        "dropout": values.get("dropout", 0.1),
        "attention_dropout": values.get("attention_dropout", 0.0),
        "pad_token_id": values["pad_token_id"],
        "eos_token_id": values["eos_token_id"],
        "decoder_start_token_id": values["decoder_start_token_id"],
    }


def write_sizes(shape: Seq2SeqConfig) -> dict[str, Any]:
    """Writes what `read_sizes` reads."""
    return {
        "vocab_size": shape.vocabulary_size,
        "d_model": shape.hidden_dim,
        "encoder_layers": shape.num_layers,
        "decoder_layers": shape.num_decoder_layers,
        "encoder_attention_heads": shape.num_heads,
        "decoder_attention_heads": shape.decoder_heads,
        "encoder_ffn_dim": shape.intermediate_dim,
        "decoder_ffn_dim": shape.decoder_units,
        "max_position_embeddings": shape.max_positions,
        "activation_function": shape.activation,
        "scale_embedding": shape.embedding_scale != 1,
        "dropout": shape.dropout,
        "attention_dropout": shape.attention_dropout,
        "num_hidden_layers": shape.num_layers,
        "pad_token_id": shape.pad_token_id,
        "eos_token_id": shape.eos_token_id,
        "decoder_start_token_id": shape.decoder_start_token_id,
    }
