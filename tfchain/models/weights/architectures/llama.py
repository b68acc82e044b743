"""The folders of Llama, and of EuroBERT, which attends both ways."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.weights.architectures.decoder import DECODER_WEIGHTS, read_decoder, write_decoder
from tfchain.models.weights.architectures.family import Family


def read_eurobert(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the config.json of EuroBERT."""
    return read_decoder(values, epsilon=1e-5, is_causal=False)


LLAMA = Family(model_class="LlamaModel", weights=DECODER_WEIGHTS, read=read_decoder, write=write_decoder)
EUROBERT = Family(model_class="EuroBertModel", weights=DECODER_WEIGHTS, read=read_eurobert, write=write_decoder)
