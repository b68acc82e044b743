"""The recipe that makes an encoder smaller in shape."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.optimization.recipes.base import Materials, Recipe

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder


@dataclass(frozen=True, kw_only=True)
class Shrink(Recipe):
    """Makes the encoder smaller in shape: fewer layers, heads and feed-forward units, a narrower token embedding.

    This makes a model faster everywhere, and costs ranking quality until training restores it: follow it with `Distill`
    or `fit`. The heads and units to drop are found on texts: those whose part of their layer's output has the least
    mean square go first (activation times weight, as in Wanda; Sun et al. 2023, https://arxiv.org/abs/2306.11695, for
    whole structures), and the kept ones make up for the others as far as they can, by least squares. The kept layers
    are spread evenly, including the first and the last (as in DistilBERT; Sanh et al. 2019).

    Args:
        layers: How many layers to keep, or which, counted from 0. Default: all.
        num_heads: Attention heads kept in each layer. Default: all.
        intermediate_dim: Feed-forward units kept in each layer. Default: all.
        token_embedding_dim: Width of a factorised token embedding: the principal components of the table, weighted by
            how often the tokens occur in the texts, and a product that widens them. Default: unchanged.

    Raises:
        InputError: if nothing is given, or a value is out of range.
    """

    place: ClassVar[int] = 1

    layers: int | tuple[int, ...] | None = None
    num_heads: int | None = None
    intermediate_dim: int | None = None
    token_embedding_dim: int | None = None

    def __post_init__(self) -> None:
        values = dataclasses.asdict(self)
        if all(value is None for value in values.values()):
            raise InputError(f"Shrink must be told what to make smaller. Received: none of {', '.join(values)}.")
        if isinstance(self.layers, list | tuple):
            chosen = tuple(check_whole_number("layers", number, least=0) for number in self.layers)
            if not chosen or list(chosen) != sorted(set(chosen)):
                raise InputError(
                    "`layers` must name at least one layer, each once and in rising order. "
                    f"Received: layers={self.layers!r}."
                )
            object.__setattr__(self, "layers", chosen)
            values.pop("layers")
        for name, value in values.items():
            if value is not None:
                object.__setattr__(self, name, check_whole_number(name, value))

    @property
    def label(self) -> str:
        """The recipe's name in a report."""
        given = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return f"shrink({', '.join(f'{name}={value}' for name, value in given.items())})"

    def apply(self, text_encoder: "TextEncoder", materials: Materials) -> "TextEncoder":
        from tfchain.optimization.shrink import shrink

        return shrink(text_encoder, self, materials.texts, progress=materials.progress)
