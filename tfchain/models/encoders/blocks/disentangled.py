"""The block of DeBERTa: BERT's layer with disentangled attention, and no positions in the embeddings."""

from typing import Any

from tfchain.models.encoders.blocks.block import FindLayer, Group, Shapes
from tfchain.models.encoders.blocks.post_norm import LAYER_PARTS, PostNormBlock, layer_options
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.disentangled_config import DisentangledConfig
from tfchain.models.encoders.layer_config import LayerConfig


class DisentangledBlock(PostNormBlock):
    """Self-attention by content and relative position, and a feed-forward network, post-norm."""

    has_kernels = False

    def list_shapes(self, config: TransformerConfig) -> Shapes:
        dim, options = config.hidden_dim, find_options(config)
        yield "embeddings/token/embeddings", (config.vocabulary_size, dim)
        if config.num_token_types:
            yield "embeddings/token_type/embeddings", (config.num_token_types, dim)
        yield "embeddings/norm/gamma", (dim,)
        yield "embeddings/norm/beta", (dim,)
        yield "relative_embeddings/embeddings", (2 * options.span, dim)
        if options.has_norm:
            yield "relative_embeddings/norm/gamma", (dim,)
            yield "relative_embeddings/norm/beta", (dim,)

    def list_layer_shapes(self, config: TransformerConfig, number: int) -> Shapes:
        dim, width = config.hidden_dim, config.layer_heads[number] * config.layer_head_dim(number)
        for path, shape in super().list_layer_shapes(config, number):
            if path == "attention/output/kernel":
                for product in _list_position_products(config):
                    yield f"attention/{product}/kernel", (dim, width)
                    yield f"attention/{product}/bias", (width,)
            yield path, shape

    def list_groups(self, config: TransformerConfig, number: int) -> tuple[Group, ...]:
        heads, units = super().list_groups(config, number)
        return (heads, units) if find_options(config).shares_products else (units,)

    def count_keras_layers(self, config: TransformerConfig) -> int:
        shared = 2 + find_options(config).has_norm  # the mask, and the table with its normalisation
        embeddings = 4 + bool(config.num_token_types)
        inside = LAYER_PARTS + 1 + len(_list_position_products(config))
        return shared + embeddings + inside * config.num_layers

    def share(
        self, config: TransformerConfig, find_layer: FindLayer, token_ids: Any, padding_mask: Any, *, has_padding: bool
    ) -> dict[str, Any]:
        bias = super().share(config, find_layer, token_ids, padding_mask, has_padding=has_padding)
        return {"bias": bias, "positions": find_layer("relative_embeddings")(token_ids)}

    def make_layer(self, config: TransformerConfig, name: str, *, dtype: str) -> Any:
        from tfchain.models.encoders.disentangled import DisentangledLayer, RelativeEmbeddings
        from tfchain.models.encoders.general.embeddings import TokenEmbeddings

        options = find_options(config)
        if name == "relative_embeddings":
            return RelativeEmbeddings(
                rows=2 * options.span,
                dim=config.hidden_dim,
                has_norm=options.has_norm,
                norm_epsilon=config.norm_epsilon,
                name=name,
                dtype=dtype,
            )
        if name == "embeddings":
            return TokenEmbeddings(
                vocabulary_size=config.vocabulary_size,
                hidden_dim=config.hidden_dim,
                options=LayerConfig(),
                num_token_types=config.num_token_types,
                norm_epsilon=config.norm_epsilon,
                dropout=config.dropout,
                name=name,
                dtype=dtype,
            )
        if not name.startswith("layer_"):
            return super().make_layer(config, name, dtype=dtype)
        number = int(name.removeprefix("layer_"))
        return DisentangledLayer(
            options=options,
            max_length=config.max_length,
            **layer_options(config, number),
            name=name,
            dtype=dtype,
        )


DISENTANGLED = DisentangledBlock()


def find_options(config: TransformerConfig) -> DisentangledConfig:
    """Returns how a transformer's attention sees positions."""
    assert config.disentangled is not None  # TransformerConfig checks it
    return config.disentangled


def _list_position_products(config: TransformerConfig) -> list[str]:
    options = find_options(config)
    if options.shares_products:
        return []
    return [name for term, name in (("c2p", "position_key"), ("p2c", "position_query")) if term in options.terms]
