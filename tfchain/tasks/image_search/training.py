"""Trains two towers: copy, optimizer and callbacks around Keras' `Model.fit`."""

import dataclasses
import logging
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

import keras
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.task import Evaluate
from tfchain.models.images.config import ImageTextConfig
from tfchain.models.images.image_text_model import ImageTextModel
from tfchain.models.images.two_towers import IMAGE_TOWER, TEMPERATURE, TEXT_TOWER, make_two_towers
from tfchain.tasks.image_search.losses import LOSSES, choose_loss, find_masked
from tfchain.tasks.image_search.training_rows import PictureRows, make_batches
from tfchain.training.distributed.strategies import make_strategy
from tfchain.training.fit.callback_checks import check_callbacks_fit
from tfchain.training.fit.checkpoint import TrainingCheckpoint
from tfchain.training.fit.divergence import DivergenceGuard, check_finite
from tfchain.training.fit.keras_fit import FitOverWorkers
from tfchain.training.fit.logs import make_log_callbacks
from tfchain.training.fit.optimizer import make_optimizer
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.recording import record_gradients
from tfchain.training.fit.validation import EvaluationCallback, Validation

logger = logging.getLogger(__name__)

_UNUSED = {"lora_rank": None, "remat": False, "mini_batch_size": None}
MOST_SCALE = 4.6052  # the logarithm of 100, above which CLIP's training does not let the factor rise


class TowerTrainer(FitOverWorkers, keras.Model):
    """Trains two towers on batches of pictures with captions.

    Args:
        towers: The model of both towers; its weights are trained in place.
        loss: `softmax` or `sigmoid`.
        masks: Whether pictures with the same caption are no negatives of each other. Default: True.
    """

    def __init__(self, towers: keras.Model, loss: str, *, masks: bool = True, **options: Any) -> None:
        super().__init__(**{"dtype": "float32", **options})
        self.encoder = towers
        self.image_tower, self.text_tower = towers.get_layer(IMAGE_TOWER), towers.get_layer(TEXT_TOWER)
        self.temperature = towers.get_layer(TEMPERATURE)
        self.pair_loss, self.masks = LOSSES[loss], masks
        self.loss_tracker = keras.metrics.Mean(name="loss", dtype="float32")
        self.built = True

    @property
    def metrics(self) -> list[Any]:
        return [self.loss_tracker]

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        return self.encoder(inputs, training=training)

    def train_step(self, data: Mapping[str, Any]) -> dict[str, Any]:
        weights = self.encoder.trainable_weights
        with record_gradients() as tape:
            images = self.image_tower(data["pixels"], training=True)
            texts = self.text_tower({name: data[name] for name in ("token_ids", "padding_mask")}, training=True)
            masked = find_masked(data["captions"]) if self.masks else None
            loss = self.pair_loss(self.temperature(images, texts), masked)
            scaled = self.optimizer.scale_loss(loss)
        found = tape.gradient(scaled, [weight.value for weight in weights])
        gradients = [
            tf.zeros_like(weight.value) if gradient is None else tf.convert_to_tensor(gradient)
            for gradient, weight in zip(found, weights, strict=True)
        ]
        self.optimizer.apply(gradients, weights)
        scale = self.temperature.scale
        if scale.trainable:
            scale.assign(tf.minimum(tf.convert_to_tensor(scale), MOST_SCALE))
        self.loss_tracker.update_state(loss)
        return self.to_logs({"loss": self.loss_tracker.result()})


def fit_two_towers(
    model: ImageTextModel,
    rows: PictureRows,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    *,
    augmentation: Sequence[keras.layers.Layer] = (),
    evaluate: Evaluate | None = None,
    validation: Validation | None = None,
) -> keras.callbacks.History:
    """Trains a model in place; it keeps its old weights until the training has succeeded.

    Args:
        model: The model.
        rows: Pictures with captions.
        hyperparameters: Batch size, learning rate, epochs and so on. Low-rank training, recomputed activations and
            mini-batches are for text encoders.
        options: Loss (`softmax`, `sigmoid`), checkpoint, logs, callbacks, hooks; one device.
        augmentation: Keras layers that change pictures, given as numbers from 0 to 255. Default: none.
        evaluate: Function from a model to metrics, for `validation`. Default: no evaluation.
        validation: When to evaluate, and what to do with the result.

    Raises:
        InputError: if an argument does not suit the model.
        DivergedError: if the loss or a weight is no longer finite.
    """
    loss = choose_loss(options.loss, has_bias=model.config.has_logit_bias)
    _check(hyperparameters, options)
    check_callbacks_fit(options.callbacks, hyperparameters, validation.metrics if validation is not None else ())
    strategy = make_strategy(options.strategy)
    if strategy is not None:
        raise InputError(
            "An image search is trained on one device. Received: a strategy for several. Use strategy='one'.",
            argument="strategy",
        )
    checkpoint = _open_checkpoint(model, rows, hyperparameters, options, loss)
    keras.utils.set_random_seed(hyperparameters.seed)
    copy = _make_copy(model, hyperparameters)
    for hook in options.hooks:
        hook.prepare(copy)
    trainer = TowerTrainer(copy, loss, masks=hyperparameters.mask_false_negatives)
    trainer.hooks = tuple(options.hooks)
    batching: dict[str, Any] = {"batch_size": hyperparameters.batch_size, "seed": hyperparameters.seed}
    batching |= {"drop_remainder": hyperparameters.drop_remainder, "augmentation": augmentation}
    _, steps = make_batches(model, rows, **batching)
    optimizer = make_optimizer(hyperparameters, copy.trainable_weights, num_steps=steps * hyperparameters.epochs)
    trainer.compile(optimizer=optimizer, jit_compile=hyperparameters.jit_compile)
    callbacks: list[keras.callbacks.Callback] = [*options.hooks, DivergenceGuard()]
    evaluator = None
    if evaluate is not None:
        in_training: Any = model.in_training(copy)
        evaluator = EvaluationCallback(evaluate, in_training, validation or Validation(dataset=None))
        callbacks.append(evaluator)
    callbacks.extend(options.callbacks)
    epoch = step = 0
    if checkpoint is not None:
        checkpoint.evaluator = evaluator
        callbacks.append(checkpoint)
        epoch, step = checkpoint.restore(trainer) or (0, 0)
        epoch = hyperparameters.epochs if checkpoint.stopped else epoch
    if options.log_path is not None:
        callbacks.extend(make_log_callbacks(options.log_path, append=(epoch, step) != (0, 0)))
    trainer.steps_done, trainer.steps_to_skip = epoch * steps + step, step
    for hook in options.hooks:
        hook.begin(steps * hyperparameters.epochs)
    batches, _ = make_batches(model, rows, first_step=trainer.steps_done, **batching)
    logger.info("Training: %d steps an epoch, %d epochs, loss %s.", steps, hyperparameters.epochs, loss)
    shown = options.progress if options.progress is not None else sys.stderr.isatty()
    history: keras.callbacks.History = trainer.fit(
        batches,
        epochs=hyperparameters.epochs,
        initial_epoch=epoch,
        steps_per_epoch=steps,
        callbacks=callbacks,
        verbose=1 if shown else 0,
        shuffle=False,
    )
    if checkpoint is not None:
        history.history = {name: list(values) for name, values in checkpoint.history.items()}
        history.epoch = list(checkpoint.epochs)
    for hook in options.hooks:
        hook.strip(copy)
    weights = copy.get_weights()
    check_finite(weights, trainer.steps_done)
    model.set_weights(weights)
    return history


def _check(hyperparameters: Hyperparameters, options: FitOptions) -> None:
    for name, default in _UNUSED.items():
        if getattr(hyperparameters, name) != default:
            raise InputError(
                f"`{name}` is for text encoders. Received: {name}={getattr(hyperparameters, name)!r} for an image "
                "search. Leave it out.",
                argument=name,
            )
    for name in ("mining", "guide", "cross_check", "data_service"):
        if getattr(options, name) is not None:
            raise InputError(f"`{name}` is for text encoders. Leave it out of the training of an image search.")
    if options.augment:
        raise InputError("`augment` changes texts. For pictures, give the chain `augmentation`, Keras layers.")


def _make_copy(model: ImageTextModel, hyperparameters: Hyperparameters) -> keras.Model:
    """Makes the model that is trained: type, dropout and frozen layers as asked for."""
    config = model.config
    if hyperparameters.dropout is not None:
        config = _with_dropout(config, hyperparameters.dropout)
    copy = make_two_towers(config, dtype=hyperparameters.dtype_policy)
    copy.set_weights(model.keras_model.get_weights())
    for pattern in hyperparameters.freeze:
        found = [
            layer
            for tower in (copy.get_layer(IMAGE_TOWER), copy.get_layer(TEXT_TOWER))
            for layer in tower.layers
            if fnmatch(f"{tower.name}/{layer.name}", pattern) or fnmatch(tower.name, pattern)
        ]
        found += [copy.get_layer(TEMPERATURE)] if fnmatch(TEMPERATURE, pattern) else []
        if not found:
            raise InputError(
                f"`freeze` must match layers: 'image_tower', 'text_tower/layer_[0-3]'. Received: {pattern!r}.",
                argument="freeze",
            )
        for layer in found:
            layer.trainable = False
    if not copy.trainable_weights:
        raise InputError("`freeze` leaves nothing to train. Freeze fewer layers.", argument="freeze")
    return copy


def _with_dropout(config: ImageTextConfig, rate: float) -> ImageTextConfig:
    def change(tower: Any) -> Any:
        return dataclasses.replace(tower, layers=dataclasses.replace(tower.layers, dropout=rate))

    return dataclasses.replace(config, image=change(config.image), text=change(config.text))


def _open_checkpoint(
    model: ImageTextModel, rows: PictureRows, hyperparameters: Hyperparameters, options: FitOptions, loss: str
) -> TrainingCheckpoint | None:
    if options.checkpoint is None:
        return None
    identity = {
        "model": model.fingerprint,
        "data": rows.fingerprint,
        "loss": loss,
        "hyperparameters": hyperparameters.to_dict(),
    }
    checkpoint = TrainingCheckpoint(options.checkpoint, identity, every=options.checkpoint_every)
    checkpoint.check()
    return checkpoint
