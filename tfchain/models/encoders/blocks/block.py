"""The block protocol: how a kind of transformer layer describes itself, so that no other code knows its parts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tfchain.models.encoders.config import TransformerConfig

Shapes = Iterator[tuple[str, tuple[int, ...]]]  # path of a weight → its shape


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
    """

    field: str
    reader: str
    maker: str
    count: int
    width: int
    copies: int = 1


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

    def list_shapes(self, config: TransformerConfig) -> Shapes:
        """Yields the weights before the first layer, by path, in the order of the Keras model's `weights`."""

    def list_layer_shapes(self, config: TransformerConfig, number: int) -> Shapes:
        """Yields the weights of a layer, by path inside it, in the order of the Keras layer's `weights`."""

    def list_groups(self, config: TransformerConfig, number: int) -> tuple[Group, ...]:
        """Returns what can be left out of a layer."""

    def count_keras_layers(self, config: TransformerConfig) -> int:
        """Returns how many Keras layers the transformer consists of, nested ones included."""

    def make_layer(self, config: TransformerConfig, name: str, *, dtype: str) -> Any:
        """Makes a Keras layer of the transformer.

        Args:
            config: The transformer's shape.
            name: `attention_mask`, `relative_position_bias`, `embeddings`, or `layer_0`, `layer_1`, …, which are
                `BlockLayer`s.
            dtype: The layer's policy.
        """
