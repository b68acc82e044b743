"""Pruning while an encoder trains: masks from TensorFlow Model Optimization, applied after every step."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.optimization.form_hook import FormHook
from tfchain.optimization.tfmot import load_tfmot
from tfchain.optimization.weight_matrices import Matrix

if TYPE_CHECKING:
    from tfchain.optimization.recipes import Prune

POOLING = {"average": "AVG", "max": "MAX"}


class PruningHook(FormHook):
    """Keeps the smallest weights of an encoder's matrices at zero while it trains, as `Prune` says.

    Masks are chosen after the steps that the schedule names, from weights that are the same on every replica, so that
    they agree without communication; after every step the weights are multiplied by them. `strip` leaves the plain
    encoder with its zeros, exactly as many in each matrix as asked for, however the training ended.

    Args:
        recipe: What is pruned, and how.
    """

    recipe: "Prune"
    lora_effect = "fill the zeros"

    def __init__(self, recipe: "Prune") -> None:
        super().__init__(recipe)
        self._masks: list[keras.Variable] = []

    def prepare(self, encoder: keras.Model) -> None:
        super().prepare(encoder)
        for matrix in self._matrices:
            self._check(matrix)
        self._strategy = tf.distribute.get_strategy()
        self._masks = [
            keras.Variable(np.ones(matrix.variable.shape), dtype=matrix.variable.dtype, trainable=False, name="mask")
            for matrix in self._matrices
        ]
        pairs = [
            (matrix.variable.value, mask.value, None) for matrix, mask in zip(self._matrices, self._masks, strict=True)
        ]
        block_size = self.recipe.block_size or (1, 1)
        m_by_n = (2, 4) if self.recipe.pattern == "2:4" else None
        pooling = POOLING[self.recipe.block_pooling]
        self._pruning = _exact_pruning()(self._sparsity_now, pairs, block_size, pooling, m_by_n)
        self._sparsity = float(self.recipe.sparsity)

    def begin(self, num_steps: int) -> None:
        schedules = load_tfmot("sparsity.keras.pruning_schedule")
        begin, self._end = (round(part * num_steps) for part in (self.recipe.begin, self.recipe.end))
        frequency = self.recipe.frequency
        if self.recipe.schedule == "polynomial" and begin < self._end:
            self._schedule = schedules.PolynomialDecay(0.0, self._sparsity_asked, begin, self._end, frequency=frequency)
            self._settled_from = self._end
        else:
            self._schedule = schedules.ConstantSparsity(self._sparsity_asked, begin, self._end, frequency)
            self._settled_from = begin

    def variables(self) -> Sequence[Any]:
        return self._masks

    def hold_form(self) -> None:
        with self._strategy.scope():
            self._pruning.weight_mask_op()

    def strip(self, encoder: keras.Model) -> None:
        # Chosen again: the weights may be from an earlier step, or moving averages. Zeros are the smallest of all, so
        # those of a mask stay where they are.
        self._sparsity = self._sparsity_asked
        with self._strategy.scope():
            self._pruning.choose_masks()
        self.hold_form()
        for matrix in self._matrices:  # a negative weight times zero is negative zero, which compresses badly
            matrix.variable.assign(np.array(matrix.variable) + 0.0)

    @property
    def _sparsity_asked(self) -> float:
        return float(self.recipe.sparsity)

    def _sparsity_now(self) -> float:
        return self._sparsity

    def _act(self, step: int) -> None:
        is_turn, sparsity = self._schedule(step)
        if bool(is_turn) or step == self._end:  # the last turn may come before the end, with too few zeros
            is_last = step >= self._settled_from
            self._sparsity = self._sparsity_asked if is_last else float(sparsity)  # float32 would round it
            with self._strategy.scope():
                self._pruning.choose_masks()
        self.hold_form()

    def _check(self, matrix: Matrix) -> None:
        shape = tuple(matrix.variable.shape)
        if self.recipe.pattern == "unstructured":
            return
        wanted = (4, 1) if self.recipe.block_size is None else self.recipe.block_size
        if len(shape) != 2 or shape[0] % wanted[0] or shape[1] % wanted[1]:
            what = f"blocks of {wanted[0]} x {wanted[1]}" if self.recipe.block_size else "groups of 4 along the inputs"
            raise InputError(
                f"pattern={self.recipe.pattern!r} of Prune needs matrices that {what} divide. Received: {matrix.path} "
                f"of shape {shape}. Take another size, or name other `layers`."
            )


@functools.cache
def _exact_pruning() -> type[Any]:
    """TensorFlow Model Optimization's `Pruning`, with the exact number of zeros even if magnitudes are equal."""
    pruning: type[Any] = load_tfmot("sparsity.keras.pruning_impl").Pruning

    class ExactPruning(pruning):
        def __init__(self, sparsity: Any, pairs: Any, block_size: Any, pooling: str, m_by_n: Any) -> None:
            super().__init__(None, pairs, None, block_size, pooling, m_by_n)
            self.sparsity = sparsity

        def choose_masks(self) -> None:
            """Makes the masks from the current weights."""
            for weight, mask, _ in self._pruning_vars:
                mask.assign(self._maybe_update_block_mask(tf.convert_to_tensor(weight))[1])

        def _update_mask(self, weights: Any) -> tuple[Any, Any]:
            # The original keeps all weights as large as the smallest kept one, and floats do coincide.
            size = weights.shape.num_elements()
            kept = max(1, size - round(size * self.sparsity()))
            values, places = tf.math.top_k(tf.reshape(tf.abs(weights), [-1]), k=kept)
            mask = tf.scatter_nd(places[:, None], tf.ones(kept, weights.dtype), [size])
            return values[-1], tf.reshape(mask, weights.shape)

    return ExactPruning
