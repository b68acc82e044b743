"""The block protocol: how a kind of transformer layer describes itself, so that no other code knows its parts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.encoders.layer_config import LayerConfig

Shapes = Iterator[tuple[str, tuple[int, ...]]]  # path of a weight → its shape
FindLayer = Callable[[str], Any]  # from a layer's name to the layer, made or found


@dataclass(frozen=True)
class Group:
    """Features inside a layer that can be left out a group at a time: an attention head, a feed-forward unit.

    Args:
        field: The field of `TransformerConfig` that counts them, such as `num_heads`.
        reader: The path of the product that takes the features as its input.
        maker: The path of the product that computes the features.
        count: Number of groups.
        width: Features in a group.
        copies: How many times the features are among the maker's outputs, in turn: 3 for query, key and value.
            Default: 1.
        made: Features of a group in each part of the maker's outputs, in turn, where they differ, as with query heads
            that share keys and values. Default: `copies` times `width`.
    """

    field: str
    reader: str
    maker: str
    count: int
    width: int
    copies: int = 1
    made: tuple[int, ...] = ()

    @property
    def made_widths(self) -> tuple[int, ...]:
        """Features of a group in each part of the maker's outputs."""
        return self.made or (self.width,) * self.copies


class Block(Protocol):
    """A kind of transformer layer with the embeddings before it.

    A block file holds no Keras at import: shapes are known without it, as a search in int8 needs them. Paths inside a
    layer are relative to it, such as `attention/output`; a product's weights are `kernel` and `bias`.

    Attributes:
        products: The paths of a layer's products, in the order in which a layer computes them.
        has_kernels: Whether the project's own int8 kernels compute this kind of layer.
    """

    @property
    def products(self) -> tuple[str, ...]: ...
    @property
    def has_kernels(self) -> bool: ...

    def find_layer_config(self, config: TransformerConfig) -> LayerConfig:
        """Returns how the layers are built, for the kernels; only of a block that has them."""
        raise NotImplementedError

    def list_shapes(self, config: TransformerConfig) -> Shapes:
        """Yields the weights before the first layer, by path, in the order of the Keras model's `weights`."""

    def list_layer_shapes(self, config: TransformerConfig, number: int) -> Shapes:
        """Yields the weights of a layer, by path inside it, in the order of the Keras layer's `weights`."""

    def list_final_shapes(self, config: TransformerConfig) -> Shapes:
        """Yields the weights after the last layer, as `list_shapes`. Default: none."""
        return iter(())

    def split_widths(self, config: TransformerConfig, number: int, product: str) -> tuple[int, ...] | None:
        """Returns the widths of the parts of a product's outputs, such as query, key and value, if they differ.

        Args:
            config: The transformer's shape.
            number: The layer's number.
            product: The product's path inside the layer.

        Returns:
            The widths; None, the default, if all parts have the same.
        """
        return None

    def list_groups(self, config: TransformerConfig, number: int) -> tuple[Group, ...]:
        """Returns what can be left out of a layer."""

    def count_keras_layers(self, config: TransformerConfig) -> int:
        """Returns how many Keras layers the transformer consists of, nested ones included."""

    def share(
        self, config: TransformerConfig, find_layer: FindLayer, token_ids: Any, padding_mask: Any, *, has_padding: bool
    ) -> Any:
        """Computes what all layers share, which each gets as its `bias`: here, the bias on attention scores.

        Args:
            config: The transformer's shape.
            find_layer: From a name to the layer.
            token_ids: int32 `(batch, length)`.
            padding_mask: int32 `(batch, length)`, 0 for padding.
            has_padding: Whether the mask can be 0.
        """
        from keras import ops

        bias = find_layer("attention_mask")(padding_mask) if has_padding else ops.zeros(())
        if config.relative_attention_buckets:
            bias = bias + find_layer("relative_position_bias")(token_ids)
        return bias

    def finish(self, config: TransformerConfig, find_layer: FindLayer, hidden: Any) -> Any:
        """Computes what follows the last layer, such as a normalisation. Default: nothing does."""
        return hidden

    def make_layer(self, config: TransformerConfig, name: str, *, dtype: str) -> Any:
        """Makes a Keras layer of the transformer.

        Args:
            config: The transformer's shape.
            name: A name that `share` or `finish` asks for, `embeddings`, or `layer_0`, `layer_1`, …, which are
                `BlockLayer`s.
            dtype: The layer's policy.
        """
