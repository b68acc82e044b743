"""The one door to transformers: tfchain uses its tokenizers, not its models, which need PyTorch."""

import logging
from pathlib import Path
from types import ModuleType
from typing import Any

from tfchain.core.errors import InputError


def load_transformers() -> ModuleType:
    """Imports transformers without its advice to install PyTorch, which only its models need.

    Returns:
        The module `transformers`.
    """
    logger = logging.getLogger("transformers")
    logger.addFilter(_is_wanted)
    try:
        import transformers
    finally:
        logger.removeFilter(_is_wanted)
    module: ModuleType = transformers
    return module


def load_tokenizer(path: Path, **options: Any) -> Any:
    """Reads a folder's tokenizer through transformers.

    Args:
        path: The folder.
        **options: What replaces the folder's settings, such as `truncation_side`.

    Raises:
        InputError: if the folder has no tokenizer that transformers can read.
    """
    try:
        tokenizer = load_transformers().AutoTokenizer.from_pretrained(str(path), **options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} has no tokenizer that transformers can read: {error}. "
            "Add tokenizer.json or the vocabulary's files, or pass `tokenizer`."
        ) from error
    if len(tokenizer) <= len(set(tokenizer.all_special_tokens)):  # transformers makes one from nothing, silently
        raise InputError(
            f"{path} has a tokenizer without a vocabulary: every word would be unknown. "
            "Add tokenizer.json or the vocabulary's files, or pass `tokenizer`."
        )
    return tokenizer


def _is_wanted(record: logging.LogRecord) -> bool:
    return "PyTorch was not found" not in record.getMessage()
