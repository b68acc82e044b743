"""The families of checkpoints that tfchain reads, one file each, and their table."""

from collections.abc import Mapping
from typing import Any

from tfchain.models.encoders.config import Architecture
from tfchain.models.weights.architectures.albert import ALBERT
from tfchain.models.weights.architectures.bert import BERT
from tfchain.models.weights.architectures.deberta_v2 import DEBERTA_V2
from tfchain.models.weights.architectures.distilbert import DISTILBERT
from tfchain.models.weights.architectures.dpr import DPR
from tfchain.models.weights.architectures.electra import ELECTRA
from tfchain.models.weights.architectures.ernie import ERNIE
from tfchain.models.weights.architectures.family import Family
from tfchain.models.weights.architectures.gemma3_text import GEMMA3_TEXT
from tfchain.models.weights.architectures.gte import GTE
from tfchain.models.weights.architectures.jina_bert import JINA_BERT
from tfchain.models.weights.architectures.jina_v3 import JINA_V3
from tfchain.models.weights.architectures.llama import EUROBERT, LLAMA
from tfchain.models.weights.architectures.mistral import MISTRAL
from tfchain.models.weights.architectures.modernbert import MODERNBERT
from tfchain.models.weights.architectures.mpnet import MPNET
from tfchain.models.weights.architectures.nomic_bert import NOMIC_BERT
from tfchain.models.weights.architectures.qwen2 import QWEN2
from tfchain.models.weights.architectures.qwen3 import QWEN3
from tfchain.models.weights.architectures.roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from tfchain.models.weights.architectures.static import STATIC
from tfchain.models.weights.architectures.t5 import T5, T5_GATED
from tfchain.models.weights.architectures.xlm_roberta_xl import XLM_ROBERTA_XL

# `model_type` of config.json → the family. What is read as another architecture (`dpr`, as `bert`) has an entry, too.
FAMILIES: dict[str, Family] = {
    "bert": BERT,
    "distilbert": DISTILBERT,
    "roberta": ROBERTA,
    "xlm-roberta": XLM_ROBERTA,
    "mpnet": MPNET,
    "albert": ALBERT,
    "camembert": CAMEMBERT,
    "dpr": DPR,
    "electra": ELECTRA,
    "ernie": ERNIE,
    "static": STATIC,
    "deberta-v2": DEBERTA_V2,
    "mt5": T5,
    "t5": T5,
    "t5_gated": T5_GATED,
    "xlm-roberta-xl": XLM_ROBERTA_XL,
    "modernbert": MODERNBERT,
    "qwen3": QWEN3,
    "nomic_bert": NOMIC_BERT,
    "gte": GTE,
    "gemma3_text": GEMMA3_TEXT,
    "qwen2": QWEN2,
    "mistral": MISTRAL,
    "llama": LLAMA,
    "eurobert": EUROBERT,
    "jina_bert": JINA_BERT,
    "jina_embeddings_v3": JINA_V3,
}
# Other names: `model_type`, with `position_embedding_type` where that tells architectures of one name apart.
ALIASES: dict[tuple[str, str | None], Architecture] = {
    ("new", "rope"): "gte",
    ("new", None): "gte",
    ("bert", "alibi"): "jina_bert",
    ("xlm-roberta", "rotary"): "jina_embeddings_v3",
}


def find_architecture(values: Mapping[str, Any]) -> Architecture | None:
    """Returns the architecture of a config.json; None if tfchain does not have it.

    Args:
        values: The file's content.
    """
    name = values.get("model_type")
    alias = ALIASES.get((str(name), values.get("position_embedding_type")))
    return alias or (name if name in FAMILIES else None)
