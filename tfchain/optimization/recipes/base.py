"""The base of recipes: the values of one compression step, its place among other steps, and what it does."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tfchain.core.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder
    from tfchain.optimization.learning_texts import LearningTexts
    from tfchain.training.fit.training_hook import TrainingHook


@dataclass(frozen=True)
class Materials:
    """What recipes work with.

    Args:
        teacher: The text encoder that `Distill` learns from; the model itself in another task, which nothing distils.
        rows: The learning texts as given: texts, or rows of a text with its translations. Default: none.
        texts: The same as plain texts. Default: none.
        acting: The earlier recipes of the list that act while this one trains. Default: none.
        progress: Whether to show progress bars. Default: when the work takes more than a second.
    """

    teacher: Any
    rows: "LearningTexts | None" = None
    texts: Sequence[str] | None = None
    acting: "Sequence[TrainingRecipe]" = ()
    progress: bool | None = None


class Recipe:
    """One step of a compression: a frozen dataclass of its values, and what it does with a text encoder.

    Attributes:
        place: Where it stands in a list of recipes: lower places come first, and each place has one recipe.
        trains: Whether it trains the model, so that recipes that act while training may stand before it.
        constrains_weights: Whether it leaves zeros or few distinct values, which reports then count.
    """

    place: ClassVar[int]
    trains: ClassVar[bool] = False
    constrains_weights: ClassVar[bool] = False

    @property
    def needs_text_encoder(self) -> bool:
        """Whether it works on text encoders only, and not on the models of other tasks."""
        return True

    @property
    def label(self) -> str:
        """The recipe's name in a report."""
        raise NotImplementedError

    def apply(self, text_encoder: "TextEncoder", materials: Materials) -> "TextEncoder":
        """Returns a compressed text encoder; the given one is unchanged."""
        raise NotImplementedError

    def check_list(self, recipes: "Sequence[Recipe]", *, trains: bool) -> None:
        """Raises an `InputError` if the recipe does not go with the others of its list.

        Args:
            recipes: The list.
            trains: Whether the model is trained with it.
        """

    def check_processor(self) -> None:
        """Raises a `TfchainError` if this processor cannot compute what the recipe makes."""

    def to_values(self) -> dict[str, Any]:
        """Converts the recipe to plain values for JSON."""
        return {"recipe": type(self).__name__, **dataclasses.asdict(self)}  # type: ignore[call-overload]


class TrainingRecipe(Recipe):
    """A recipe that acts while training, and on the current weights where nothing trains."""

    @property
    def needs_text_encoder(self) -> bool:
        """Whether it works on text encoders only: not, as it changes the weights of any Keras model."""
        return False

    def make_hook(self, seed: int = 0) -> "TrainingHook":
        """Makes the hook that applies the recipe in one training: `FitOptions(hooks=[Prune(0.5).make_hook()])`.

        Args:
            seed: The seed of what the recipe draws at random. Default: 0.
        """
        raise NotImplementedError

    def apply(self, text_encoder: "TextEncoder", materials: Materials | None = None) -> "TextEncoder":
        from tfchain.training.fit.training_copy import make_training_copy

        copy = make_training_copy(text_encoder.keras_model, Hyperparameters())
        hook = self.make_hook()
        hook.prepare(copy)
        hook.strip(copy)
        return text_encoder.with_keras_model(copy)
