"""The folders of M2M-100 and NLLB: pre-norm layers, and a norm after the last."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.seq2seq.config import Seq2SeqConfig
from tfchain.models.seq2seq.families.bart_like import DECODER, ENCODER, SHARED, read_sizes, write_sizes
from tfchain.models.seq2seq.families.family import Seq2SeqFamily


def read_m2m_100(values: Mapping[str, Any], tensors: set[str]) -> dict[str, Any]:
    """Reads the config.json of M2M-100."""
    return {**read_sizes(values), "positions": "m2m_100", "norm_place": "pre"}


def write_m2m_100(shape: Seq2SeqConfig) -> dict[str, Any]:
    """Writes what `read_m2m_100` reads."""
    return {**write_sizes(shape), "tie_word_embeddings": True, "bos_token_id": 0}


M2M_100 = Seq2SeqFamily(
    model_class="M2M100ForConditionalGeneration",
    read=read_m2m_100,
    write=write_m2m_100,
    ends={
        "tokens": SHARED,
        "encoder_norm": ("model.encoder.layer_norm",),
        "decoder_norm": ("model.decoder.layer_norm",),
    },
    encoder_layers="model.encoder.layers.{}.",
    decoder_layers="model.decoder.layers.{}.",
    encoder=ENCODER,
    decoder=DECODER,
    ignored=("embed_positions.weights", "embed_tokens.weight", "lm_head.weight", "shared.weight"),
)
