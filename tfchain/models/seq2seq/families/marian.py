"""The folders of Marian (opus-mt): post-norm layers, and a bias on the logits."""

from collections.abc import Mapping
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.seq2seq.config import Seq2SeqConfig
from tfchain.models.seq2seq.families.bart_like import DECODER, ENCODER, SHARED, read_sizes, write_sizes
from tfchain.models.seq2seq.families.family import Seq2SeqFamily


def read_marian(values: Mapping[str, Any], tensors: set[str]) -> dict[str, Any]:
    """Reads the config.json of Marian."""
    for name in ("normalize_before", "normalize_embedding", "add_final_layer_norm"):
        if values.get(name):
            raise InputError(f"A Marian folder must have `{name}` false, as transformers' model does. Received: true.")
    is_shared = values.get("share_encoder_decoder_embeddings", True)
    sizes = read_sizes(values)
    target = values.get("decoder_vocab_size") or sizes["vocabulary_size"]
    return {
        **sizes,
        "target_vocabulary_size": None if is_shared else target,
        "has_own_head": not values.get("tie_word_embeddings", True),
        "has_logits_bias": True,
        "positions": "marian",
    }


def write_marian(shape: Seq2SeqConfig) -> dict[str, Any]:
    """Writes what `read_marian` reads."""
    return {
        **write_sizes(shape),
        "decoder_vocab_size": shape.decoder_vocabulary_size,
        "share_encoder_decoder_embeddings": shape.target_vocabulary_size is None,
        "tie_word_embeddings": not shape.has_own_head,
        "static_position_embeddings": True,
    }


MARIAN = Seq2SeqFamily(
    model_class="MarianMTModel",
    read=read_marian,
    write=write_marian,
    ends={
        "tokens": SHARED,
        "target_tokens": ("model.decoder.embed_tokens", "lm_head"),
        "head": ("lm_head",),
        "logits_bias": ("final_logits_bias",),
    },
    encoder_layers="model.encoder.layers.{}.",
    decoder_layers="model.decoder.layers.{}.",
    encoder=ENCODER,
    decoder=DECODER,
    ignored=("embed_positions.weight", "embed_tokens.weight", "lm_head.weight", "shared.weight"),
)
