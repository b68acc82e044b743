"""The recipe that leaves only a few distinct weights."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from tfchain.core.checks import check_part, check_patterns, check_whole_number
from tfchain.core.errors import InputError
from tfchain.optimization.recipes.base import Recipe, TrainingRecipe
from tfchain.optimization.recipes.prune import Prune

if TYPE_CHECKING:
    from tfchain.training.fit.training_hook import TrainingHook

CentroidInit = Literal["linear", "density", "kmeans++", "random"]


@dataclass(frozen=True)
class Cluster(TrainingRecipe):
    """Lets the weights of each matrix share a few values, and trains these (Han et al. 2016, Deep Compression).

    It acts in the `Distill` that follows, or in `chain.fit(..., recipes=[Cluster(16)])`; without either, it changes the
    current weights at once. From `begin` on, each weight belongs to one cluster, and after every step all weights of a
    cluster become their mean. Weights that are zero stay zero, which counts as one of the values, so that it can follow
    `Prune`: `[Prune(0.5, end=0.5), Cluster(16, begin=0.5), Distill()]`. Files become smaller only when they are
    compressed; nothing becomes faster.

    Args:
        num_clusters: Values in each matrix, at least 2. Default: 16.
        init: The initial centroids: `linear`, evenly spaced between the smallest and the largest weight; `density`,
            evenly spaced in the weights' distribution; `kmeans++` (Arthur and Vassilvitskii 2007); `random`, between
            the smallest and the largest. Default: `linear`, which keeps large weights best (Han et al., section 3.2).
        max_iterations: Iterations of Lloyd's algorithm after the initial centroids; 0 uses these unchanged.
            Default: 20.
        begin: Share of the training's steps before weights are clustered, in [0, 1]. Default: 0.
        layers: Patterns of layer paths, as in `Prune`. Default: all products, and no embedding.

    Raises:
        InputError: if a value is out of range.
    """

    place: ClassVar[int] = 4
    constrains_weights: ClassVar[bool] = True

    num_clusters: int = 16
    _: KW_ONLY
    init: CentroidInit = "linear"
    max_iterations: int = 20
    begin: float = 0.0
    layers: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_clusters", check_whole_number("num_clusters", self.num_clusters, least=2))
        object.__setattr__(self, "max_iterations", check_whole_number("max_iterations", self.max_iterations, least=0))
        if not isinstance(self.init, str) or self.init not in get_args(CentroidInit):
            raise InputError(
                f"`init` of Cluster must be one of {', '.join(get_args(CentroidInit))}. Received: init={self.init!r}.",
                argument="init",
            )
        check_part("begin", self.begin)
        object.__setattr__(self, "layers", check_patterns("layers", self.layers))

    @property
    def label(self) -> str:
        """The recipe's name in a report."""
        layers = f", {' '.join(self.layers)}" if self.layers else ""
        return f"cluster({self.num_clusters} {self.init}{layers})"

    def check_list(self, recipes: Sequence[Recipe], *, trains: bool) -> None:
        pruned = [recipe for recipe in recipes if isinstance(recipe, Prune)]
        if trains and pruned and self.begin < pruned[0].end:
            raise InputError(
                "Cluster must begin where Prune ends: weights that share a value cannot be told apart by their size. "
                f"Received: begin={self.begin} and end={pruned[0].end}. Write Cluster(begin={pruned[0].end})."
            )

    def make_hook(self, seed: int = 0) -> "TrainingHook":
        from tfchain.optimization.clustering import ClusteringHook

        return ClusteringHook(self, seed)
