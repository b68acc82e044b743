"""Trains a model from text to text: puts together batches, strategy, copy, optimizer and callbacks for Keras' `fit`."""

import dataclasses
import logging
import sys
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.task import Evaluate
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.models.seq2seq.transformer import Seq2SeqTransformer, make_blank_transformer
from tfchain.runtime.fork import check_tensorflow_runs
from tfchain.training.distributed.strategies import find_task, make_strategy
from tfchain.training.distributed.workers import check_agreement, count_replicas, lost_workers, scope_of, share_weights
from tfchain.training.fit.checkpoint import TrainingCheckpoint
from tfchain.training.fit.divergence import DivergenceGuard, check_finite
from tfchain.training.fit.fit import make_dataset
from tfchain.training.fit.gradients import find_seed_generators
from tfchain.training.fit.logs import make_log_callbacks
from tfchain.training.fit.optimizer import count_updates, make_optimizer
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.training_copy import add_lora, freeze_layers, trained_weights
from tfchain.training.fit.training_hook import make_step_encoder
from tfchain.training.fit.validation import EvaluationCallback, Validation
from tfchain.training.seq2seq.checks import TokenOptions, check_arguments
from tfchain.training.seq2seq.token_batches import TokenBatches, TokenRows
from tfchain.training.seq2seq.trainer import Seq2SeqTrainer

logger = logging.getLogger(__name__)


def fit_seq2seq(
    model: Seq2SeqModel,
    rows: TokenRows,
    hyperparameters: Hyperparameters,
    options: FitOptions | None = None,
    *,
    tokens: TokenOptions | None = None,
    evaluate: Evaluate | None = None,
    validation: Validation | None = None,
) -> keras.callbacks.History:
    """Trains a model from text to text in place.

    Everything is checked before the first step; the model keeps its old weights until the training has succeeded, with
    a finite loss and finite weights. Batches are made by length, unless `hyperparameters.batches` is `random`;
    `no_duplicates…` means no more than that, as there are no negatives. What does not apply is refused:
    `training.seq2seq.checks` has the list.

    Args:
        model: The model.
        rows: Sources and targets as token ids, of `tokenize_rows`.
        hyperparameters: Batch size, learning rate, schedule, epochs and so on. `schedule="inverse_sqrt"` with a
            `warmup` of some thousand steps is usual from nothing.
        options: Strategy, checkpoint, callbacks, logs.
        tokens: Label smoothing, and batches by tokens. Default: `TokenOptions()`.
        evaluate: Function from a model to metrics, for `validation`. Default: no evaluation.
        validation: When to evaluate, and what to do with the result.

    Returns:
        Keras' `History`: losses and metrics by epoch, including those before an interruption.

    Raises:
        InputError: if the rows, a hyperparameter, the strategy or the checkpoint is not suitable.
        DivergedError: if the loss or a weight is no longer finite.
        WorkerLostError: if another worker stopped.
    """
    options, tokens = options or FitOptions(), tokens or TokenOptions()
    check_tensorflow_runs()
    strategy = make_strategy(options.strategy)
    with lost_workers(find_task(strategy)[1], options.checkpoint):
        check_arguments(model.transformer, hyperparameters, options, strategy, evaluate, validation)
        return _fit(model, rows, hyperparameters, options, tokens, strategy, evaluate, validation)


def _fit(
    model: Seq2SeqModel,
    rows: TokenRows,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    tokens: TokenOptions,
    strategy: Any,
    evaluate: Evaluate | None,
    validation: Validation | None,
) -> keras.callbacks.History:
    batches = TokenBatches(
        rows,
        batch_size=hyperparameters.batch_size,
        batch_tokens=tokens.batch_tokens,
        by_length=hyperparameters.batches != "random",
        start_token_id=model.transformer.config.decoder_start_token_id,
        pad_token_id=model.transformer.config.pad_token_id,
        seed=hyperparameters.seed,
        num_replicas=count_replicas(strategy),
    )
    identity = _describe(model, rows, hyperparameters, options, tokens, validation)
    check_agreement(strategy, "data and options", identity)
    checkpoint = None
    if options.checkpoint is not None:
        writes = find_task(strategy)[0] == 0
        checkpoint = TrainingCheckpoint(options.checkpoint, identity, every=options.checkpoint_every, writes=writes)
        checkpoint.check()
    copy = _make_copy(model, hyperparameters, options, strategy)
    trainer = _make_trainer(copy, hyperparameters, options, tokens, strategy, batches.steps_per_epoch)
    callbacks: list[keras.callbacks.Callback] = [*options.hooks, DivergenceGuard()]
    evaluator = None
    if evaluate is not None:
        evaluator = _make_evaluator(model, copy, evaluate, validation or Validation(dataset=None), strategy)
        callbacks.append(evaluator)
    callbacks.extend(options.callbacks)
    epoch = step = 0
    if checkpoint is not None:
        checkpoint.evaluator = evaluator
        callbacks.append(checkpoint)
        epoch, step = checkpoint.restore(trainer) or (0, 0)
        if checkpoint.stopped:  # it was stopped early and has nothing left to do
            epoch, step = hyperparameters.epochs, 0
    if options.log_path is not None and find_task(strategy)[0] == 0:
        callbacks.extend(make_log_callbacks(options.log_path, append=(epoch, step) != (0, 0)))
    trainer.steps_done = epoch * batches.steps_per_epoch + step
    trainer.steps_to_skip = step
    for hook in options.hooks:
        hook.begin(batches.steps_per_epoch * hyperparameters.epochs)
    history = _run(trainer, batches, callbacks, hyperparameters, options, strategy, first_epoch=epoch)
    if checkpoint is not None:  # the history includes the epochs before an interruption
        history.history = {name: list(values) for name, values in checkpoint.history.items()}
        history.epoch = list(checkpoint.epochs)
    for hook in options.hooks:
        hook.strip(copy)
    weights = trained_weights(copy)
    check_finite(weights, trainer.steps_done)
    model.set_weights(weights)
    return history


def _describe(
    model: Seq2SeqModel,
    rows: TokenRows,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    tokens: TokenOptions,
    validation: Validation | None,
) -> Mapping[str, Any]:
    """Returns plain values that identify a training, for its checkpoint."""
    described = {
        "model": model.fingerprint,
        "data": rows.fingerprint,
        **dataclasses.asdict(tokens),
        **hyperparameters.to_dict(),
    }
    if options.hooks:
        described["hooks"] = [dict(hook.describe()) for hook in options.hooks]
    if validation is not None:
        described["monitor"] = validation.monitor or next(iter(validation.metrics or ()), None)
    return described


def _make_copy(
    model: Seq2SeqModel, hyperparameters: Hyperparameters, options: FitOptions, strategy: Any
) -> Seq2SeqTransformer:
    """Makes the model that is trained, in the strategy's scope; the chain's own does not change meanwhile."""
    worker, num_workers = find_task(strategy)
    config = model.transformer.config
    if hyperparameters.dropout is not None:
        config = dataclasses.replace(
            config,
            dropout=hyperparameters.dropout,
            attention_dropout=min(hyperparameters.dropout, config.attention_dropout),
        )
    with scope_of(strategy):
        copy = make_blank_transformer(config, dtype=hyperparameters.dtype_policy)
        copy.set_weights(model.transformer.get_weights())
        for number, generator in enumerate(find_seed_generators(copy)):
            generator.state.assign(np.array([hyperparameters.seed % 2**32, number * 2**20], dtype="uint32"))
        if hyperparameters.lora_rank is not None:
            add_lora(copy, hyperparameters.lora_rank, seed=hyperparameters.seed)
        freeze_layers(copy, tuple(hyperparameters.freeze))
        if not copy.trainable_weights:
            raise InputError(
                f"`freeze` leaves nothing to train. Received: freeze={list(hyperparameters.freeze)}. Freeze fewer "
                "layers."
            )
        if num_workers > 1:
            share_weights(strategy, copy, is_chief=worker == 0)
        for hook in options.hooks:
            hook.prepare(copy)
        if make_step_encoder(options.hooks, copy) is not copy:
            raise InputError(
                "A recipe that adds a loss for each text is for encoders. Received: one for a training of "
                "translations. Leave it out."
            )
    return copy


def _make_trainer(
    copy: Seq2SeqTransformer,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    tokens: TokenOptions,
    strategy: Any,
    steps_per_epoch: int,
) -> Seq2SeqTrainer:
    with scope_of(strategy):
        trainer = Seq2SeqTrainer(copy, label_smoothing=tokens.label_smoothing)
        trainer.hooks = tuple(options.hooks)
        num_steps = steps_per_epoch * hyperparameters.epochs
        trainer.compile(
            optimizer=make_optimizer(hyperparameters, copy.trainable_weights, num_steps=num_steps), jit_compile=False
        )
    return trainer


def _make_evaluator(
    model: Seq2SeqModel, copy: Seq2SeqTransformer, evaluate: Evaluate, validation: Validation, strategy: Any
) -> EvaluationCallback:
    """Evaluates a plain model with the weights of the moment: it generates by its own graph, in float32."""
    measured = model.plain().copy()

    def measure(_: Any) -> Mapping[str, float]:
        measured.set_weights(trained_weights(copy))
        return evaluate(measured)

    return EvaluationCallback(measure, measured, validation, strategy)  # type: ignore[arg-type]


def _run(
    trainer: Seq2SeqTrainer,
    batches: TokenBatches,
    callbacks: list[keras.callbacks.Callback],
    hyperparameters: Hyperparameters,
    options: FitOptions,
    strategy: Any,
    *,
    first_epoch: int,
) -> keras.callbacks.History:
    """Runs Keras' `fit` over the remaining batches."""
    shown = options.progress if options.progress is not None else sys.stderr.isatty()
    logger.info(
        "Training: %d steps an epoch, %d epochs, %d replica(s), %d weights.",
        *(batches.steps_per_epoch, hyperparameters.epochs, count_replicas(strategy)),
        sum(int(np.prod(weight.shape)) for weight in trainer.encoder.trainable_weights),
    )
    maker: Any = batches  # makes batches as `BatchMaker` does
    history = trainer.fit(
        make_dataset(maker, strategy, trainer.steps_done),
        epochs=hyperparameters.epochs,
        initial_epoch=first_epoch,
        steps_per_epoch=batches.steps_per_epoch,
        callbacks=callbacks,
        verbose=1 if shown and find_task(strategy)[0] == 0 else 0,
        shuffle=False,
    )
    if trainer.steps_done and not count_updates(trainer.optimizer):
        logger.warning("No step changed the weights: no gradient was finite. Train in float32 or bfloat16, or longer.")
    return history
