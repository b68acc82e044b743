"""Hooks: they change how an encoder trains, as pruning does, and leave a plain encoder behind."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfchain.core.errors import InputError


class TrainingHook(keras.callbacks.Callback):
    """A Keras callback that may also change the encoder in training, and removes what it added at the end.

    Write a subclass for what plain callbacks cannot do: insert operations before the layers' matrix products, add a
    loss computed inside the encoder, keep state that a checkpoint must save, constrain the weights. `fit` calls, in
    this order: `prepare` on the copy that is trained, `make_step_encoder`, `begin`, the callback's own methods (before
    those of evaluation and checkpoints, which therefore see the weights as the hook leaves them after a step), and
    `strip`. A hook serves one training at a time.
    """

    def describe(self) -> Mapping[str, Any]:
        """Plain values that identify the hook: a checkpoint made with other hooks is refused."""
        raise NotImplementedError

    def prepare(self, encoder: keras.Model) -> None:
        """Prepares the encoder; called in the strategy's scope, once the weights are in place.

        The number and order of the encoder's own variables must not change: added variables belong to the hook.

        Args:
            encoder: The copy that is trained.

        Raises:
            InputError: if the encoder has nothing to work on.
        """

    def make_step_encoder(self, encoder: keras.Model) -> keras.Model:
        """The model that the steps encode with: the encoder, or a model around it that adds a loss for each text.

        Called after `prepare`, in the strategy's scope. A model around the encoder has the same inputs and returns
        `(texts, dim + 1)`: the encoder's vector, then the text's loss. The mean of these losses over all texts of the
        global batch is added to the loss over the vectors. The encoder's weights come first among the model's
        trainable weights; the others are trained too, and belong to `variables`.
        """
        return encoder

    def begin(self, num_steps: int) -> None:
        """Called before the first step, with the number of steps of the whole training."""

    def variables(self) -> Sequence[Any]:
        """The variables that a checkpoint keeps, always in the same order."""
        return ()

    @property
    def is_settled(self) -> bool:
        """Whether the training may end with the current weights; if not, they are never kept as the best weights."""
        return True

    def hold_form(self) -> None:
        """Constrains the current weights to the hook's form; also called after averages have replaced them."""

    def strip(self, encoder: keras.Model) -> None:
        """Undoes what `prepare` changed, and gives the weights their final form."""


def hook_variables(hooks: Sequence[TrainingHook]) -> dict[str, Any]:
    """All hooks' variables, by a name that says which hook they belong to."""
    return {
        f"hook/{place}/{number}": variable
        for place, hook in enumerate(hooks)
        for number, variable in enumerate(hook.variables())
    }


def make_step_encoder(hooks: Sequence[TrainingHook], encoder: keras.Model) -> keras.Model:
    """The model that the steps encode with, given the hooks.

    Raises:
        InputError: if more than one of them adds a loss.
    """
    made = [model for model in (hook.make_step_encoder(encoder) for hook in hooks) if model is not encoder]
    if len(made) > 1:
        raise InputError(f"Only one of `hooks` may add a loss. Received: {len(made)} that do. Keep one.")
    return made[0] if made else encoder
