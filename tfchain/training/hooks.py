"""Hooks: what changes how an encoder trains, and leaves a plain encoder behind. Pruning is one."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras


class TrainingHook(keras.callbacks.Callback):
    """A Keras callback that may also change the encoder in training, and takes back what it added when all is over.

    Write a subclass for what plain callbacks cannot do: put something before the layers' products, keep state that a
    checkpoint must hold, bring the weights into a form. `fit` calls, in this order: `prepare` on the copy that is
    trained, `begin`, the callback's own methods (before those of evaluation and checkpoints, so that these see what
    the hook made of a step), and `strip`. A hook belongs to one training at a time.
    """

    def describe(self) -> Mapping[str, Any]:
        """Plain values that tell one hook from another: a checkpoint of other ones is refused."""
        raise NotImplementedError

    def prepare(self, encoder: keras.Model) -> None:
        """Makes the encoder ready; called in the strategy's scope, when the weights are in place.

        The encoder's own variables must stay as they are, in number and order: what is added belongs to the hook.

        Args:
            encoder: The copy that is trained.

        Raises:
            InputError: if the encoder has nothing to work on.
        """

    def begin(self, num_steps: int) -> None:
        """Called before the first step, when the number of steps of the whole training is known."""

    def variables(self) -> Sequence[Any]:
        """The variables that a checkpoint keeps, always in the same order."""
        return ()

    @property
    def is_settled(self) -> bool:
        """Whether the training might end with the weights of this moment: only such may be kept as the best ones."""
        return True

    def hold_form(self) -> None:
        """Brings the weights of this moment into the hook's form; also called when averages have taken their place."""

    def strip(self, encoder: keras.Model) -> None:
        """Takes back what `prepare` changed, and gives the weights their last form."""


def hook_variables(hooks: Sequence[TrainingHook]) -> dict[str, Any]:
    """All hooks' variables by a name that says whose they are."""
    return {
        f"hook/{place}/{number}": variable
        for place, hook in enumerate(hooks)
        for number, variable in enumerate(hook.variables())
    }
