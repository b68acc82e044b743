"""The values that shape training and encoding, checked when they are given."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """A chain's hyperparameters.

    Args:
        learning_rate: The optimizer's step size, above 0 and at most 1.
        batch_size: Texts (pairs, in training) in one step, at least 1.
        epochs: Passes over the training data, at least 1.

    Raises:
        InputError: if a value is of the wrong type or out of its range.
    """

    learning_rate: float = 2e-5
    batch_size: int = 32
    epochs: int = 1

    def __post_init__(self) -> None:
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not math.isfinite(rate) or not 0 < rate <= 1:
            raise InputError(
                f"`learning_rate` must be a number above 0 and at most 1. Received: learning_rate={rate!r}. "
                "2e-5 is usual for a pretrained encoder."
            )
        for name in ("batch_size", "epochs"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)
