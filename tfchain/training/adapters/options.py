"""How a linear adapter is fitted: plain values, checked when they are set."""

from dataclasses import dataclass

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class AdapterOptions:
    """How a linear adapter is fitted.

    Args:
        learning_rate: Adam's step size, above 0. Default: 3e-4.
        steps: The number of steps. Default: 150.
        batch_size: Queries in a step. Default: 256.
        passages: The most passages that a step compares with, drawn anew in each; the queries' own are always among
            them. Default: 8192.
        scale: What cosines are multiplied by before the softmax. Default: 20.
        seed: The seed of the draws. Default: 0.

    Raises:
        InputError: if a value is out of range.
    """

    learning_rate: float = 3e-4
    steps: int = 150
    batch_size: int = 256
    passages: int = 8192
    scale: float = 20.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "passages"):
            check_whole_number(name, getattr(self, name))
        check_whole_number("seed", self.seed, least=0)
        for name in ("learning_rate", "scale"):
            if not getattr(self, name) > 0:
                raise InputError(f"`{name}` must be above 0. Received: {name}={getattr(self, name)!r}.", argument=name)
