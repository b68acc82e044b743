"""The one door to transformers, whose tokenizers tfchain uses; its models need PyTorch, and tfchain needs neither."""

import logging
from types import ModuleType


def load_transformers() -> ModuleType:
    """Imports transformers without its advice to install PyTorch, which is for its models.

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


def _is_wanted(record: logging.LogRecord) -> bool:
    return "PyTorch was not found" not in record.getMessage()
