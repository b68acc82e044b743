"""What pruning and clustering have in common: matrices that are constrained after every step."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import keras

from tfchain.core.errors import InputError
from tfchain.optimization.weight_matrices import Matrix, find_matrices
from tfchain.training.fit.training_hook import TrainingHook

if TYPE_CHECKING:
    from tfchain.optimization.recipes import Cluster, Prune


class FormHook(TrainingHook):
    """Keeps an encoder's matrices in a form while it trains, as a recipe says.

    Subclasses set `lora_effect`, add their state in `prepare`, set `_settled_from` in `begin`, and implement in `_act`
    what happens after a step.

    Args:
        recipe: The form, and when it begins.

    Attributes:
        lora_effect: What LoRA's additions would do to the form, for the error that refuses them.
    """

    lora_effect: ClassVar[str]

    def __init__(self, recipe: "Prune | Cluster") -> None:
        super().__init__()
        self.recipe = recipe
        self._matrices: list[Matrix] = []
        self._settled_from = 0  # the step from which the form no longer changes

    def describe(self) -> Mapping[str, Any]:
        return self.recipe.to_values()

    def prepare(self, encoder: keras.Model) -> None:
        name = type(self.recipe).__name__
        self._matrices = find_matrices(encoder, self.recipe.layers, recipe=name)
        for matrix in self._matrices:
            if getattr(matrix.layer, "lora_enabled", False):
                raise InputError(
                    f"{name} needs the weights themselves to be trained: LoRA's additions would {self.lora_effect}. "
                    f"Received: LoRA at {matrix.path}. Leave `lora_rank` out."
                )

    def on_train_begin(self, logs: Any = None) -> None:
        if self.model.steps_done == 0:
            self._act(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.model.skipping:
            self._act(self.model.steps_done)

    @property
    def is_settled(self) -> bool:
        return bool(self.model.steps_done >= self._settled_from)

    def _act(self, step: int) -> None:
        """Does what is due after `step` steps of the whole training; 0 is before the first."""
        raise NotImplementedError
