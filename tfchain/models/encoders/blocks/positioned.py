"""The block of XLM-RoBERTa-XL: BERT's embeddings, not normalised, and layers that normalise before each sublayer."""

from typing import Any

from tfchain.models.encoders.blocks.block import Shapes
from tfchain.models.encoders.blocks.general import GeneralBlock
from tfchain.models.encoders.blocks.post_norm import POST_NORM, embedding_options
from tfchain.models.encoders.config import TransformerConfig


class PositionedBlock(GeneralBlock):
    """A general block with a position embedding."""

    def list_shapes(self, config: TransformerConfig) -> Shapes:
        for path, shape in POST_NORM.list_shapes(config):
            if not path.startswith("embeddings/norm/") or embedding_options(config)["normalizes"]:
                yield path, shape

    def count_keras_layers(self, config: TransformerConfig) -> int:
        return super().count_keras_layers(config) + 1

    def make_layer(self, config: TransformerConfig, name: str, *, dtype: str) -> Any:
        if name != "embeddings":
            return super().make_layer(config, name, dtype=dtype)
        from tfchain.models.encoders.transformer import TransformerEmbeddings

        return TransformerEmbeddings(**embedding_options(config), name=name, dtype=dtype)


POSITIONED = PositionedBlock()
