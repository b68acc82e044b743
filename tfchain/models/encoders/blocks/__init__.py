"""The transformer blocks: one file an architecture's kind of layer, and the table of which architecture has which."""

from tfchain.models.encoders.blocks.block import Block
from tfchain.models.encoders.blocks.post_norm import POST_NORM
from tfchain.models.encoders.config import Architecture

BLOCKS: dict[Architecture, Block] = {
    "bert": POST_NORM,
    "distilbert": POST_NORM,
    "roberta": POST_NORM,
    "xlm-roberta": POST_NORM,
    "mpnet": POST_NORM,
}
