"""The block of T5's encoder: RMS norms before each sublayer, no biases, scores biased by distance and not scaled."""

from typing import Any

from tfchain.models.encoders.blocks.block import FindLayer, Shapes
from tfchain.models.encoders.blocks.general import GeneralBlock
from tfchain.models.encoders.config import TransformerConfig


class RelativeBlock(GeneralBlock):
    """A general block whose layers share a bias on attention scores by the distance of two tokens."""

    def list_shapes(self, config: TransformerConfig) -> Shapes:
        yield "relative_position_bias/embeddings", (config.relative_attention_buckets, config.layer_heads[0])
        yield from super().list_shapes(config)

    def count_keras_layers(self, config: TransformerConfig) -> int:
        return super().count_keras_layers(config) + 1

    def share(
        self, config: TransformerConfig, find_layer: FindLayer, token_ids: Any, padding_mask: Any, *, has_padding: bool
    ) -> dict[str, Any]:
        shared = super().share(config, find_layer, token_ids, padding_mask, has_padding=has_padding)
        return {**shared, "bias": shared["bias"] + find_layer("relative_position_bias")(token_ids)}

    def make_layer(self, config: TransformerConfig, name: str, *, dtype: str) -> Any:
        if name != "relative_position_bias":
            return super().make_layer(config, name, dtype=dtype)
        from tfchain.models.encoders.transformer import RelativePositionBias

        return RelativePositionBias(
            config.relative_attention_buckets,
            config.layer_heads[0],
            config.relative_attention_distance,
            name=name,
            dtype=dtype,
        )


RELATIVE = RelativeBlock()
