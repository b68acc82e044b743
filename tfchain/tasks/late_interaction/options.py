"""How a model of late interaction makes a score, and how a search keeps the vectors of its documents' tokens."""

from dataclasses import dataclass
from typing import Literal, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.models.weights.late_folder import MaxSimScale

TokenStorage = Literal["float32", "float16", "int8"]
MOST_POOLED = 16


@dataclass(frozen=True)
class LateOptions:
    """The values of late interaction beside the model.

    Args:
        scale: `sum` adds up the best similarity of each of a query's tokens; `mean` divides by their number, so that a
            score is from -1 to 1. Default: `sum`.
        pool_factor: A search keeps a vector for this many tokens of a document, each a cluster's mean (`pool_tokens`).
            Default: 1, all of them.
        storage: The numbers in which a search keeps them: `float32`, `float16` or `int8`, with a scale for each vector.
            Default: `int8`.

    Raises:
        InputError: if a value is unknown or out of range.
    """

    scale: MaxSimScale = "sum"
    pool_factor: int = 1
    storage: TokenStorage = "int8"

    def __post_init__(self) -> None:
        for name, choices in (("scale", MaxSimScale), ("storage", TokenStorage)):
            if getattr(self, name) not in get_args(choices):
                raise InputError(
                    f"`{name}` must be one of {', '.join(get_args(choices))}. Received: {name}={getattr(self, name)!r}."
                )
        check_whole_number("pool_factor", self.pool_factor)
        if self.pool_factor > MOST_POOLED:
            raise InputError(
                f"`pool_factor` must be at most {MOST_POOLED}. Received: pool_factor={self.pool_factor}. Use 2 to 4."
            )
