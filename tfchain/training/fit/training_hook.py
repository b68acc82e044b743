"""Hooks: what changes how an encoder trains, and leaves a plain encoder behind. Pruning is one."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfchain.core.errors import InputError


class TrainingHook(keras.callbacks.Callback):
    """A Keras callback that may also change the encoder in training, and takes back what it added when all is over.

    Write a subclass for what plain callbacks cannot do: put something before the layers' products, add a loss of what
    happens within the encoder, keep state that a checkpoint must hold, bring the weights into a form. `fit` calls, in
    this order: `prepare` on the copy that is trained, `make_step_encoder`, `begin`, the callback's own methods (before
    those of evaluation and checkpoints, so that these see what the hook made of a step), and `strip`. A hook belongs
    to one training at a time.
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

    def make_step_encoder(self, encoder: keras.Model) -> keras.Model:
        """What the steps encode with: the encoder, or a model around it that has a loss of each text's own.

        Called behind `prepare`, in the strategy's scope. Such a model has the encoder's inputs and gives
        `(texts, dim + 1)`: the encoder's vector, then the text's loss. The mean of these over all texts of the global
        batch is added to the loss over the vectors. The encoder's weights come first among its trainable ones; the
        others are trained, too, and belong to `variables`.
        """
        return encoder

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


def make_step_encoder(hooks: Sequence[TrainingHook], encoder: keras.Model) -> keras.Model:
    """What the steps encode with under some hooks.

    Raises:
        InputError: if more than one of them adds a loss of its own.
    """
    made = [model for model in (hook.make_step_encoder(encoder) for hook in hooks) if model is not encoder]
    if len(made) > 1:
        raise InputError(f"One of `hooks` may add a loss of its own. Received: {len(made)} that do. Leave one.")
    return made[0] if made else encoder
