"""The block of static encoders: a table with a vector for each token, of which a text's vector is the mean.

A static encoder has no layers, no positions and no attention. sentence-transformers calls it StaticEmbedding, and
model2vec (https://github.com/MinishLab/model2vec) publishes them.
"""

from typing import Any

from tfchain.models.encoders.blocks.block import Block, Group, Shapes
from tfchain.models.encoders.config import EncoderConfig, PoolingConfig, TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig

TABLE = "embeddings/embeddings"  # the path of the only weight before dense modules
NO_LIMIT = 1_000_000  # tokens: as sentence-transformers does, texts are not truncated


class StaticBlock(Block):
    """A table of token vectors and nothing else."""

    products = ()
    has_kernels = False

    def find_layer_config(self, config: TransformerConfig) -> LayerConfig:
        raise NotImplementedError("A static encoder has no layers.")

    def list_shapes(self, config: TransformerConfig) -> Shapes:
        yield TABLE, (config.vocabulary_size, config.hidden_dim)

    def list_layer_shapes(self, config: TransformerConfig, number: int) -> Shapes:
        yield from ()

    def list_groups(self, config: TransformerConfig, number: int) -> tuple[Group, ...]:
        return ()

    def count_keras_layers(self, config: TransformerConfig) -> int:
        return 1

    def make_layer(self, config: TransformerConfig, name: str, *, dtype: str) -> Any:
        from tfchain.models.encoders.rows import EmbeddingTable

        return EmbeddingTable(config.vocabulary_size, config.hidden_dim, name=name, dtype=dtype)


STATIC = StaticBlock()


def make_static_shape(vocabulary_size: int, dim: int, *, normalize: bool, pad_token_id: int = 0) -> EncoderConfig:
    """Returns the configuration of a static encoder.

    Args:
        vocabulary_size: Rows of the table.
        dim: Width of the vectors.
        normalize: Whether vectors are scaled to length one.
        pad_token_id: The id that pads shorter texts. Default: 0.
    """
    return EncoderConfig(
        transformer=TransformerConfig(
            architecture="static",
            vocabulary_size=vocabulary_size,
            hidden_dim=dim,
            num_layers=0,
            num_heads=1,
            intermediate_dim=1,
            max_positions=NO_LIMIT,
            dropout=0.0,
            attention_dropout=0.0,
            pad_token_id=pad_token_id,
        ),
        pooling=PoolingConfig(modes=("mean",)),
        normalize=normalize,
    )
