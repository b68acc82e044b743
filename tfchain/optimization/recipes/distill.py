"""The recipe that trains a small encoder to give a large one's vectors."""

from dataclasses import dataclass
from typing import Literal, get_args

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError

Distance = Literal["cosine", "l2", "mse"]


@dataclass(frozen=True, kw_only=True)
class Distill:
    """Trains the model to give the vectors that the model before all recipes gives, on plain texts.

    Any texts of the kind that the model is for will do, the more the better; nothing need be judged.

    Args:
        epochs: Passes over the texts. Default: 1.
        batch_size: Texts in a step. Default: 32.
        learning_rate: The largest. Default: 2e-4, ten times that of training on pairs: vectors are a strong signal.
        distance: Between the two vectors: see `training.losses.EmbedDistill`. Default: `cosine`.
        seed: Of order and dropout. Default: 0.

    Raises:
        InputError: if a value is out of range.
    """

    epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 2e-4
    distance: Distance = "cosine"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            object.__setattr__(self, name, check_whole_number(name, getattr(self, name), least=least))
        rate = self.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1:
            raise InputError(f"`learning_rate` must be above 0 and at most 1. Received: learning_rate={rate!r}.")
        if self.distance not in get_args(Distance):
            raise InputError(
                f"`distance` must be one of {', '.join(get_args(Distance))}. Received: distance={self.distance!r}."
            )

    @property
    def label(self) -> str:
        """Its name in a report."""
        return "distill"
