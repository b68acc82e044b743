"""The transformer blocks: one file an architecture's kind of layer, and the table of which architecture has which."""

from tfchain.models.encoders.blocks.block import Block
from tfchain.models.encoders.blocks.disentangled import DISENTANGLED
from tfchain.models.encoders.blocks.general import GENERAL
from tfchain.models.encoders.blocks.positioned import POSITIONED
from tfchain.models.encoders.blocks.post_norm import POST_NORM
from tfchain.models.encoders.blocks.relative import RELATIVE
from tfchain.models.encoders.blocks.static import STATIC
from tfchain.models.encoders.config import Architecture

BLOCKS: dict[Architecture, Block] = {
    "bert": POST_NORM,
    "distilbert": POST_NORM,
    "roberta": POST_NORM,
    "xlm-roberta": POST_NORM,
    "mpnet": POST_NORM,
    "albert": POST_NORM,
    "camembert": POST_NORM,
    "electra": POST_NORM,
    "ernie": POST_NORM,
    "static": STATIC,
    "deberta-v2": DISENTANGLED,
    "t5": RELATIVE,
    "t5_gated": RELATIVE,
    "xlm-roberta-xl": POSITIONED,
    "modernbert": GENERAL,
    "qwen3": GENERAL,
    "nomic_bert": GENERAL,
    "gte": GENERAL,
    "gemma3_text": GENERAL,
    "qwen2": GENERAL,
    "mistral": GENERAL,
    "llama": GENERAL,
    "eurobert": GENERAL,
    "jina_bert": GENERAL,
    "jina_embeddings_v3": GENERAL,
}
