"""The block of BERT, DistilBERT, RoBERTa and MPNet: attention and feed-forward, each added and then normalised."""

from typing import Any

from tfchain.models.encoders.blocks.block import Block, Group, Shapes
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig

LAYER_PARTS = 10  # Keras layers in a transformer layer, itself included
BERT_LAYER = LayerConfig(gate="none")
OTHER_PARTS = 6  # the mask, and the embeddings with their two tables, normalisation and dropout


class PostNormBlock(Block):
    """Self-attention with fused query, key and value, and a feed-forward network of one activation, post-norm."""

    products = ("attention/query_key_value", "attention/output", "intermediate", "output")
    has_kernels = True

    def find_layer_config(self, config: TransformerConfig) -> LayerConfig:
        return BERT_LAYER

    def list_shapes(self, config: TransformerConfig) -> Shapes:
        dim, token_dim = config.hidden_dim, config.token_embedding_dim or config.hidden_dim
        if config.relative_attention_buckets:
            yield "relative_position_bias/embeddings", (config.relative_attention_buckets, config.layer_heads[0])
        sum_dim = token_dim if config.widened == "sum" else dim
        yield "embeddings/token/embeddings", (config.vocabulary_size, token_dim)
        yield "embeddings/position/embeddings", (config.max_positions, sum_dim)
        if config.num_token_types:
            yield "embeddings/token_type/embeddings", (config.num_token_types, sum_dim)
        if token_dim != dim:
            yield from _list_product("embeddings/projection", token_dim, dim)
        yield from _list_norm("embeddings/norm", sum_dim)

    def list_layer_shapes(self, config: TransformerConfig, number: int) -> Shapes:
        dim, units = config.hidden_dim, config.layer_intermediate_dims[number]
        heads_dim = config.layer_heads[number] * config.layer_head_dim(number)
        yield from _list_product("attention/query_key_value", dim, 3 * heads_dim)
        yield from _list_product("attention/output", heads_dim, dim)
        yield from _list_norm("attention_norm", dim)
        yield from _list_product("intermediate", dim, units)
        yield from _list_norm("output_norm", dim)
        yield from _list_product("output", units, dim)

    def list_groups(self, config: TransformerConfig, number: int) -> tuple[Group, ...]:
        return (
            Group(
                field="num_heads",
                reader="attention/output",
                maker="attention/query_key_value",
                count=config.layer_heads[number],
                width=config.layer_head_dim(number),
                copies=3,
            ),
            Group(
                field="intermediate_dim",
                reader="output",
                maker="intermediate",
                count=config.layer_intermediate_dims[number],
                width=1,
            ),
        )

    def count_keras_layers(self, config: TransformerConfig) -> int:
        optional = (
            bool(config.relative_attention_buckets),
            bool(config.num_token_types),
            config.token_embedding_dim not in (None, config.hidden_dim),
        )
        return OTHER_PARTS + LAYER_PARTS * config.num_distinct_layers + sum(optional)

    def make_layer(self, config: TransformerConfig, name: str, *, dtype: str) -> Any:
        from tfchain.models.encoders import transformer

        if name == "attention_mask":
            return transformer.AttentionMask(name=name, dtype=dtype)
        if name == "relative_position_bias":
            return transformer.RelativePositionBias(
                config.relative_attention_buckets, config.layer_heads[0], name=name, dtype=dtype
            )
        if name == "embeddings":
            return transformer.TransformerEmbeddings(**embedding_options(config), name=name, dtype=dtype)
        number = int(name.removeprefix("layer_"))
        # With a bias for each distance, attention is computed at once.
        longest = 0 if config.relative_attention_buckets else config.max_length
        options = layer_options(config, number)
        return transformer.TransformerLayer(**options, max_length=longest, name=name, dtype=dtype)


POST_NORM = PostNormBlock()


def embedding_options(config: TransformerConfig) -> dict[str, Any]:
    """Returns the arguments of `TransformerEmbeddings` for a configuration."""
    names = (
        "vocabulary_size", "hidden_dim", "max_positions", "token_embedding_dim", "widened", "num_token_types",
        "position_offset", "norm_epsilon", "dropout",
    )  # fmt: skip
    options = {name: getattr(config, name) for name in names}
    normalizes = config.layer is None or config.layer.embedding_norm
    return {**options, "given_token_types": config.given_token_types, "normalizes": normalizes}


def layer_options(config: TransformerConfig, number: int) -> dict[str, Any]:
    """Returns the arguments of `TransformerLayer` for a layer of a configuration."""
    return {
        "num_heads": config.layer_heads[number],
        "head_dim": config.layer_head_dim(number),
        "intermediate_dim": config.layer_intermediate_dims[number],
        "activation": config.activation,
        "norm_epsilon": config.norm_epsilon,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
    }


def _list_product(path: str, inputs: int, outputs: int) -> Shapes:
    yield f"{path}/kernel", (inputs, outputs)
    yield f"{path}/bias", (outputs,)


def _list_norm(path: str, dim: int) -> Shapes:
    yield f"{path}/gamma", (dim,)
    yield f"{path}/beta", (dim,)
