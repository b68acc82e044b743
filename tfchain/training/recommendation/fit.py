"""Trains a recommendation model on interactions, through Keras' `fit`, and gives it the weights at a good end alone."""

import dataclasses
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfchain.core.checks import check_writable
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.task import Evaluate
from tfchain.data.interactions.interactions import Interactions
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.models.recommendation.tower_weights import load_weights, read_weights
from tfchain.models.recommendation.towers import Towers, make_towers
from tfchain.runtime.fork import check_tensorflow_runs
from tfchain.training.distributed.strategies import is_multi_worker, is_tpu, make_strategy
from tfchain.training.distributed.workers import count_replicas, scope_of
from tfchain.training.fit.callback_checks import check_callbacks_fit
from tfchain.training.fit.checkpoint import TrainingCheckpoint
from tfchain.training.fit.divergence import DivergenceGuard, check_finite
from tfchain.training.fit.logs import make_log_callbacks
from tfchain.training.fit.optimizer import make_optimizer
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.training_copy import freeze_layers
from tfchain.training.fit.validation import EvaluationCallback, Validation
from tfchain.training.recommendation.loss import RecommendationLoss, get_loss
from tfchain.training.recommendation.trainer import RecommendationTrainer
from tfchain.training.recommendation.windows import HistoryWindows

logger = logging.getLogger(__name__)

REFUSED_OPTIONS = ("mining", "cross_check", "guide", "data_service", "augment", "hooks")
REFUSED_VALUES = ("lora_rank", "mini_batch_size", "remat", "jit_compile")


class TrainingModel(RecommendationModel):
    """A model as it is in a training: it computes with the current weights of the towers.

    Args:
        model: What is trained.
        towers: The towers that are trained.
    """

    def __init__(self, model: RecommendationModel, towers: Towers) -> None:
        super().__init__(model.config, model.text_encoder, vocabulary=model.vocabulary, weights=model.weights)
        self._towers = towers
        self._inputs: tuple[Any, dict[str, np.ndarray]] | None = None

    @property
    def is_settled(self) -> bool:
        return False

    @property
    def fingerprint(self) -> str:
        """The same for the whole training: vectors are not kept beyond an evaluation."""
        return "training"

    def item_inputs(self, items: Any) -> dict[str, np.ndarray]:
        """Returns what the tower reads of items, computed once for the same table: texts are not trained."""
        if self._inputs is None or self._inputs[0] is not items:
            self._inputs = (items, super().item_inputs(items))
        return self._inputs[1]


def fit_recommendation(
    model: RecommendationModel,
    interactions: Interactions,
    hyperparameters: Hyperparameters,
    options: FitOptions | None = None,
    *,
    evaluate: Evaluate | None = None,
    validation: Validation | None = None,
    most_windows: int | None = None,
) -> keras.callbacks.History:
    """Trains a model's towers in place.

    Everything is checked before the first step; the model keeps its weights until the training has succeeded, with a
    finite loss and finite weights.

    Args:
        model: A model that `RecommendationModel.for_data` made for the interactions.
        interactions: The histories to train on.
        hyperparameters: `batch_size` counts windows of histories; see `REFUSED_VALUES` for what does not apply.
        options: Loss, strategy (`one` or `mirrored`), checkpoint, logs. Default: `FitOptions()`.
        evaluate: Function from a model to metrics, for `validation`. Default: no evaluation.
        validation: When to evaluate, and what to do with the result.
        most_windows: The most windows of a user in an epoch; see `HistoryWindows`. Default: None, all.

    Returns:
        Keras' `History`.

    Raises:
        InputError: if an argument does not suit the training.
        DivergedError: if the loss or a weight is no longer finite.
    """
    options = options or FitOptions()
    check_tensorflow_runs()
    strategy = make_strategy(options.strategy)
    loss = get_loss(options.loss, num_items=len(interactions.items))
    _check(hyperparameters, options, strategy, loss, validation if evaluate is not None else None)
    windows = HistoryWindows(interactions, model.config.max_history, hyperparameters.seed, most_windows)
    checkpoint = None
    if options.checkpoint is not None:
        identity = {
            "model": model.fingerprint,
            "data": interactions.fingerprint,
            "loss": loss.to_dict(),
            "most_windows": most_windows,
            **hyperparameters.to_dict(),
            **({} if validation is None else {"monitor": validation.monitor}),
        }
        checkpoint = TrainingCheckpoint(options.checkpoint, identity, every=options.checkpoint_every)
        checkpoint.check()
    trainer, steps = _make_trainer(model, interactions, hyperparameters, strategy, loss, windows)
    in_training: Any = TrainingModel(model, trainer.encoder)
    callbacks: list[keras.callbacks.Callback] = [DivergenceGuard()]
    if evaluate is not None:
        evaluator = EvaluationCallback(evaluate, in_training, validation or Validation(dataset=None))
        callbacks.append(evaluator)
        if checkpoint is not None:
            checkpoint.evaluator = evaluator
    callbacks.extend(options.callbacks)
    epoch = step = 0
    if checkpoint is not None:
        callbacks.append(checkpoint)
        epoch, step = checkpoint.restore(trainer) or (0, 0)
    if options.log_path is not None:
        callbacks.extend(make_log_callbacks(options.log_path, append=(epoch, step) != (0, 0)))
    trainer.steps_done, trainer.steps_to_skip = epoch * steps + step, step
    if checkpoint is not None and checkpoint.stopped:  # it was stopped early and has nothing left to do
        epoch = hyperparameters.epochs
    shown = options.progress if options.progress is not None else sys.stderr.isatty()
    logger.info("Training: %d steps an epoch, %d epochs, loss %s.", steps, hyperparameters.epochs, loss.name)
    history = trainer.fit(
        _make_dataset(windows, hyperparameters, strategy, trainer.steps_done),
        epochs=hyperparameters.epochs,
        initial_epoch=epoch,
        steps_per_epoch=steps,
        callbacks=callbacks,
        verbose=1 if shown else 0,
        shuffle=False,
    )
    if checkpoint is not None:  # the history includes the epochs before an interruption
        history.history = {name: list(values) for name, values in checkpoint.history.items()}
        history.epoch = list(checkpoint.epochs)
    check_finite(trainer.encoder.weights, trainer.steps_done)
    model.set_weights(read_weights(trainer.encoder))
    return history


def _check(
    hyperparameters: Hyperparameters,
    options: FitOptions,
    strategy: Any,
    loss: RecommendationLoss,
    validation: Validation | None,
) -> None:
    """Raises an InputError for arguments that do not apply to recommendations, or not to each other."""
    for name in REFUSED_OPTIONS:
        if getattr(options, name):
            advice = "Negatives are chosen by `loss`: {'name': 'sampled_softmax', 'num_hard': 20}."
            raise InputError(
                f"`{name}` is for encoders of texts, and a recommendation trains towers. Received: "
                f"{getattr(options, name)!r:.60}. Leave it out. {advice if name == 'mining' else ''}".rstrip(),
                argument=name,
            )
    for name in REFUSED_VALUES:
        if getattr(hyperparameters, name):
            raise InputError(
                f"`{name}` does not apply to recommendations. Received: {name}={getattr(hyperparameters, name)!r}. "
                "Leave it out.",
                argument=name,
            )
    if is_multi_worker(strategy) or is_tpu(strategy):
        raise InputError(
            "`strategy` of a recommendation must be one device, or several of one machine. Received: "
            f"{type(strategy).__name__}. Use strategy='one' or 'mirrored'.",
            argument="strategy",
        )
    replicas = count_replicas(strategy)
    if loss.memory and replicas > 1:
        raise InputError(f"`memory` of the loss needs one device. Received: {replicas} replicas. Use strategy='one'.")
    if hyperparameters.batch_size % replicas:
        raise InputError(
            f"`batch_size` must be a multiple of the replicas, {replicas}. Received: "
            f"batch_size={hyperparameters.batch_size}.",
            argument="batch_size",
        )
    check_callbacks_fit(options.callbacks, hyperparameters, () if validation is None else validation.metrics)
    if options.log_path is not None:
        check_writable("log_path", Path(options.log_path))


def _make_trainer(
    model: RecommendationModel,
    interactions: Interactions,
    hyperparameters: Hyperparameters,
    strategy: Any,
    loss: RecommendationLoss,
    windows: HistoryWindows,
) -> tuple[RecommendationTrainer, int]:
    """Makes and compiles the Keras model that runs the training; also returns the steps of an epoch."""
    config = model.config
    if hyperparameters.dropout is not None:
        config = dataclasses.replace(config, dropout=hyperparameters.dropout)
    rows = windows.num_windows
    size = hyperparameters.batch_size
    steps = rows // size if hyperparameters.drop_remainder else -(-rows // size)
    if not steps:
        raise InputError(
            f"`drop_remainder` leaves no batch out of {rows} windows. Received: batch_size={size}. Use a smaller one.",
            argument="batch_size",
        )
    with scope_of(strategy):
        towers = make_towers(config, model.shape, dtype=hyperparameters.dtype_policy, seed=hyperparameters.seed)
        load_weights(towers, model.weights)
        freeze_layers(towers, tuple(hyperparameters.freeze))
        trainer = RecommendationTrainer(
            towers,
            config,
            loss,
            item_inputs=model.item_inputs(interactions.items),
            user_inputs=model.user_inputs(interactions.users),
            popularity=interactions.popularity,
            seed=hyperparameters.seed,
        )
        if not towers.trainable_weights:
            raise InputError(f"`freeze` leaves nothing to train. Received: freeze={list(hyperparameters.freeze)}.")
        num_steps = steps * hyperparameters.epochs
        trainer.compile(optimizer=make_optimizer(hyperparameters, towers.trainable_weights, num_steps=num_steps))
    return trainer, steps


def _make_dataset(windows: HistoryWindows, hyperparameters: Hyperparameters, strategy: Any, first_step: int) -> Any:
    """The batches from a step on, of all epochs, distributed over the strategy's replicas."""
    import tensorflow as tf

    size, width = hyperparameters.batch_size, windows.length + 1
    rows = windows.num_windows
    per_epoch = rows - rows % size if hyperparameters.drop_remainder else rows
    steps = -(-per_epoch // size)

    def make() -> Iterator[dict[str, Any]]:
        for epoch in range(first_step // steps, hyperparameters.epochs):
            skipped = (first_step % steps) * size if epoch == first_step // steps else 0
            for place, window in enumerate(windows.of_epoch(epoch)):
                if skipped <= place < per_epoch:
                    yield window
            # A batch does not mix epochs: the last one of an epoch may be short.
            for _ in range(-per_epoch % size):
                yield blank

    blank = {"items": np.full(width, -1, "int32"), "counts": np.zeros(width, bool), "user": np.int32(0)}
    signature = {
        "items": tf.TensorSpec((width,), tf.int32),
        "counts": tf.TensorSpec((width,), tf.bool),
        "user": tf.TensorSpec((), tf.int32),
    }
    dataset = tf.data.Dataset.from_generator(make, output_signature=signature).batch(size, drop_remainder=True)
    return dataset if strategy is None else strategy.experimental_distribute_dataset(dataset)
