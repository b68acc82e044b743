"""tfchain: a neural search model's whole life on TensorFlow and Keras 3.

The public names are imported on first use, so that `import tfchain` does not import TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tfchain.chains.classification import TextClassificationChain as TextClassificationChain
    from tfchain.chains.forget import ForgetReceipt as ForgetReceipt
    from tfchain.chains.forget import forget as forget
    from tfchain.chains.image_search import ImageSearchChain as ImageSearchChain
    from tfchain.chains.late_interaction import LateInteractionReranker as LateInteractionReranker
    from tfchain.chains.question_answering import QuestionAnsweringChain as QuestionAnsweringChain
    from tfchain.chains.recommendation import RecommendationChain as RecommendationChain
    from tfchain.chains.reranking import Reranker as Reranker
    from tfchain.chains.search import NeuralSearchChain as NeuralSearchChain
    from tfchain.chains.search_client import Client as Client
    from tfchain.chains.translation import TranslationChain as TranslationChain
    from tfchain.core.errors import TfchainError as TfchainError
    from tfchain.core.types import Document as Document
    from tfchain.core.types import Hit as Hit
    from tfchain.core.types import SearchResult as SearchResult
    from tfchain.data.checks.data_report import data_report as data_report
    from tfchain.data.checks.options import ReportOptions as ReportOptions
    from tfchain.data.documents.reading import ReadOptions as ReadOptions
    from tfchain.data.interactions.reading import read_interactions as read_interactions
    from tfchain.data.interactions.splitting import leave_last_out as leave_last_out
    from tfchain.data.interactions.splitting import split_by_time as split_by_time
    from tfchain.data.preparation.prepare import prepare as prepare
    from tfchain.data.shards.pair_shards import PairShards as PairShards
    from tfchain.models.auto import AutoModel as AutoModel
    from tfchain.models.recommendation.config import RecommendationConfig as RecommendationConfig
    from tfchain.models.sparse_encoder import SparseEncoder as SparseEncoder
    from tfchain.optimization.compress import compress as compress
    from tfchain.optimization.merge import merge_encoders as merge_encoders
    from tfchain.optimization.recipes import Cluster as Cluster
    from tfchain.optimization.recipes import Distill as Distill
    from tfchain.optimization.recipes import Prune as Prune
    from tfchain.optimization.recipes import Quantize as Quantize
    from tfchain.optimization.recipes import QuantizeAware as QuantizeAware
    from tfchain.optimization.recipes import QuantizeVectors as QuantizeVectors
    from tfchain.optimization.recipes import ReduceDimensions as ReduceDimensions
    from tfchain.optimization.recipes import Shrink as Shrink
    from tfchain.optimization.recipes import TrimVocabulary as TrimVocabulary
    from tfchain.optimization.static_encoder import make_static_encoder as make_static_encoder
    from tfchain.optimization.tuning.space import Range as Range
    from tfchain.training.distributed.strategies import make_strategy as make_strategy
    from tfchain.training.fit.options import FitOptions as FitOptions
    from tfchain.training.fit.validation import Validation as Validation
    from tfchain.training.mining.options import Mining as Mining

_HOMES = {
    "AutoModel": "tfchain.models.auto",
    "Client": "tfchain.chains.search_client",
    "Cluster": "tfchain.optimization.recipes",
    "Distill": "tfchain.optimization.recipes",
    "Document": "tfchain.core.types",
    "FitOptions": "tfchain.training.fit.options",
    "ForgetReceipt": "tfchain.chains.forget",
    "Hit": "tfchain.core.types",
    "ImageSearchChain": "tfchain.chains.image_search",
    "LateInteractionReranker": "tfchain.chains.late_interaction",
    "Mining": "tfchain.training.mining.options",
    "NeuralSearchChain": "tfchain.chains.search",
    "PairShards": "tfchain.data.shards.pair_shards",
    "Prune": "tfchain.optimization.recipes",
    "Quantize": "tfchain.optimization.recipes",
    "ReadOptions": "tfchain.data.documents.reading",
    "Range": "tfchain.optimization.tuning.space",
    "QuantizeAware": "tfchain.optimization.recipes",
    "QuantizeVectors": "tfchain.optimization.recipes",
    "QuestionAnsweringChain": "tfchain.chains.question_answering",
    "ReduceDimensions": "tfchain.optimization.recipes",
    "RecommendationChain": "tfchain.chains.recommendation",
    "RecommendationConfig": "tfchain.models.recommendation.config",
    "Reranker": "tfchain.chains.reranking",
    "SearchResult": "tfchain.core.types",
    "Shrink": "tfchain.optimization.recipes",
    "SparseEncoder": "tfchain.models.sparse_encoder",
    "TextClassificationChain": "tfchain.chains.classification",
    "TranslationChain": "tfchain.chains.translation",
    "TrimVocabulary": "tfchain.optimization.recipes",
    "TfchainError": "tfchain.core.errors",
    "Validation": "tfchain.training.fit.validation",
    "ReportOptions": "tfchain.data.checks.options",
    "compress": "tfchain.optimization.compress",
    "forget": "tfchain.chains.forget",
    "data_report": "tfchain.data.checks.data_report",
    "merge_encoders": "tfchain.optimization.merge",
    "make_static_encoder": "tfchain.optimization.static_encoder",
    "make_strategy": "tfchain.training.distributed.strategies",
    "leave_last_out": "tfchain.data.interactions.splitting",
    "prepare": "tfchain.data.preparation.prepare",
    "read_interactions": "tfchain.data.interactions.reading",
    "split_by_time": "tfchain.data.interactions.splitting",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tfchain' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
