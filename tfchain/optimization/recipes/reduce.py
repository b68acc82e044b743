"""The recipe that makes vectors narrower."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.optimization.recipes.base import Materials, Recipe

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder

ReductionMethod = Literal["truncate", "pca"]


@dataclass(frozen=True)
class ReduceDimensions(Recipe):
    """Makes the model's vectors narrower: the index and its search shrink accordingly, the encoder hardly.

    The reduction becomes a Dense head of the model before normalisation (or part of the last head, if the model has one
    that was neither pruned nor clustered), which sentence-transformers reads and a second `fit` trains.

    Args:
        dim: The new width, at most the model's own.
        method: `truncate` keeps the first dimensions, which is right for a model trained for it (Matryoshka; see
            `training.losses.Matryoshka`; Kusupati et al. 2022, https://arxiv.org/abs/2205.13147). `pca` keeps the
            principal directions of the texts' vectors and suits any model. They come from the second moments, not the
            covariance: projecting on them changes scalar products least. Default: `truncate`.

    Raises:
        InputError: if a value is out of range.
    """

    place: ClassVar[int] = 6

    dim: int
    method: ReductionMethod = "truncate"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", check_whole_number("dim", self.dim))
        if not isinstance(self.method, str) or self.method not in get_args(ReductionMethod):
            raise InputError(
                f"`method` of ReduceDimensions must be one of {', '.join(get_args(ReductionMethod))}. "
                f"Received: method={self.method!r}."
            )

    @property
    def label(self) -> str:
        """The recipe's name in a report."""
        return f"{self.method}({self.dim})"

    def apply(self, text_encoder: "TextEncoder", materials: Materials) -> "TextEncoder":
        from tfchain.optimization.reduce import reduce_dimensions

        return reduce_dimensions(text_encoder, self, materials.texts, progress=materials.progress)
