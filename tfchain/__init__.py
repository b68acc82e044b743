"""tfchain: a neural search model's whole life on TensorFlow and Keras 3.

The public names are imported on first use, so that `import tfchain` does not import TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tfchain.chain import NeuralSearchChain as NeuralSearchChain
    from tfchain.core.errors import TfchainError as TfchainError
    from tfchain.core.types import Document as Document
    from tfchain.core.types import Hit as Hit
    from tfchain.core.types import SearchResult as SearchResult
    from tfchain.deployment.client import Client as Client
    from tfchain.models.auto import AutoModel as AutoModel

_HOMES = {
    "AutoModel": "tfchain.models.auto",
    "Client": "tfchain.deployment.client",
    "Document": "tfchain.core.types",
    "Hit": "tfchain.core.types",
    "NeuralSearchChain": "tfchain.chain",
    "SearchResult": "tfchain.core.types",
    "TfchainError": "tfchain.core.errors",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tfchain' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
