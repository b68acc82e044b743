"""Fetches a model that translates from the Hugging Face hub: configuration first, then weights and tokenizers."""

from pathlib import Path

from tfchain.models.seq2seq.folder import GENERATION
from tfchain.models.seq2seq.tokenizer_folder import FILES
from tfchain.models.weights.download import SAFETENSORS, TORCH, fetch_files, has_weights


def fetch_seq2seq(name: str) -> Path:
    """Returns the folder of a hub model in the Hugging Face cache; PyTorch's weights only where there are no others.

    Args:
        name: A name such as `Helsinki-NLP/opus-mt-en-zh`.

    Raises:
        ModelFolderError: if it cannot be fetched.
    """
    path = fetch_files(name, ("config.json", GENERATION, *FILES, *SAFETENSORS))
    return path if has_weights(path) else fetch_files(name, TORCH, path)
