"""The recipe that makes weights zero."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from tfchain.core.checks import check_part, check_patterns, check_whole_number
from tfchain.core.errors import InputError
from tfchain.optimization.recipes.base import TrainingRecipe

if TYPE_CHECKING:
    from tfchain.training.fit.training_hook import TrainingHook

Pattern = Literal["unstructured", "block", "2:4"]
PruningSchedule = Literal["constant", "polynomial"]
BlockPooling = Literal["average", "max"]
SPARSITY_2_4 = 0.5


@dataclass(frozen=True)
class Prune(TrainingRecipe):
    """Sets the smallest weights of the encoder's products to zero while it trains (Zhu and Gupta 2017).

    It acts in the `Distill` that follows, or in `chain.fit(..., recipes=[Prune(0.5)])`, where training makes up for the
    loss; without either, the smallest of the current weights become zero at once. Every matrix ends with exactly the
    requested zeros. Zeros alone make no file smaller and no CPU faster: compressed files become smaller, and processors
    with instructions for 2:4 sparsity (NVIDIA's from Ampere on) can skip them. Use `Shrink` to be faster everywhere.

    Args:
        sparsity: Share of zeros in each matrix, above 0 and below 1: `round(sparsity * size)` weights, but at least one
            is kept. With blocks, the share of zero blocks. Default: 0.5.
        pattern: `unstructured`; `block`: whole blocks of the kernel, by their pooled magnitudes; `2:4`: two of every
            four neighbours along the kernel's input axis (the first), for each output. Default: `unstructured`.
        block_size: Inputs and outputs of a block; both must divide the matrix's. Required for `block`. Default: none.
        block_pooling: A block's magnitude is the `average` or the `max` of its weights' magnitudes. Default: `average`.
        schedule: `constant` has the whole sparsity from `begin` on; `polynomial` rises from 0 at `begin` to the whole
            at `end`, fast at first: `s * (1 - (1 - t)**3)` for t from 0 to 1 between them. `2:4` is constant.
            Default: `constant`.
        begin: Share of the training's steps before pruning begins, in [0, 1]. Default: 0.
        end: Share of the training's steps after which the zeros stay where they are; the rest of the training makes up
            for the loss. Default: 0.5.
        frequency: Steps between two choices of the zeros. Default: 10.
        layers: Patterns of layer paths, as `fnmatch` reads them: `layer_[0-3]`, `*/intermediate`. Embedding tables are
            pruned if a pattern fits them. Default: all products, and no embedding.

    Raises:
        InputError: if a value is out of range, or values do not go together.
    """

    place: ClassVar[int] = 2
    constrains_weights: ClassVar[bool] = True

    sparsity: float = SPARSITY_2_4
    _: KW_ONLY
    pattern: Pattern = "unstructured"
    block_size: tuple[int, int] | None = None
    block_pooling: BlockPooling = "average"
    schedule: PruningSchedule = "constant"
    begin: float = 0.0
    end: float = 0.5
    frequency: int = 10
    layers: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.sparsity, bool) or not isinstance(self.sparsity, int | float) or not 0 < self.sparsity < 1:
            raise InputError(
                f"`sparsity` must be above 0 and below 1. Received: sparsity={self.sparsity!r}. Use 0.9 to drop nine "
                "weights in ten.",
                argument="sparsity",
            )
        for name, choices in (("pattern", Pattern), ("block_pooling", BlockPooling), ("schedule", PruningSchedule)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in get_args(choices):
                raise InputError(
                    f"`{name}` of Prune must be one of {', '.join(get_args(choices))}. Received: {name}={value!r}.",
                    argument=name,
                )
        check_part("begin", self.begin)
        check_part("end", self.end)
        if self.begin > self.end:
            raise InputError(
                f"`begin` must not be above `end`. Received: begin={self.begin}, end={self.end}.", argument="begin"
            )
        object.__setattr__(self, "frequency", check_whole_number("frequency", self.frequency))
        object.__setattr__(self, "layers", check_patterns("layers", self.layers))
        if self.pattern == "2:4":
            self._check_2_4()
        self._check_block_size()

    def _check_2_4(self) -> None:
        if self.sparsity != SPARSITY_2_4:
            raise InputError(
                f"`sparsity` of the pattern 2:4 is 0.5: two zeros in each four. Received: sparsity={self.sparsity}. "
                "Leave it out, or take another pattern.",
                argument="sparsity",
            )
        if self.schedule != "constant":
            raise InputError(
                f"`schedule` of the pattern 2:4 is 'constant': it has no sparsity in between. Received: "
                f"schedule={self.schedule!r}. Leave it out.",
                argument="schedule",
            )

    def _check_block_size(self) -> None:
        size = self.block_size
        if self.pattern != "block":
            if size is not None:
                raise InputError(
                    f"`block_size` is for pattern='block'. Received: block_size={size!r}, pattern={self.pattern!r}. "
                    "Leave it out.",
                    argument="block_size",
                )
            return
        if not isinstance(size, list | tuple) or len(size) != 2:
            raise InputError(
                f"pattern='block' needs `block_size`, inputs and outputs. Received: block_size={size!r}. Try (4, 4)."
            )
        object.__setattr__(self, "block_size", tuple(check_whole_number("block_size", length) for length in size))

    @property
    def label(self) -> str:
        """The recipe's name in a report."""
        pattern = f"block {self.block_size[0]}x{self.block_size[1]}" if self.block_size else self.pattern
        layers = f", {' '.join(self.layers)}" if self.layers else ""
        return f"prune({self.sparsity:g} {pattern}{layers})"

    def make_hook(self, seed: int = 0) -> "TrainingHook":
        from tfchain.optimization.pruning import PruningHook

        return PruningHook(self)
