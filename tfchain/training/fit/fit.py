"""Trains an encoder: puts together data, strategy, copy, optimizer and callbacks for Keras' `Model.fit`."""

import contextlib
import dataclasses
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfchain.core.errors import InputError, TfchainError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.task import Evaluate
from tfchain.data.shards.pair_shards import PairShards
from tfchain.models.text_encoder import TextEncoder
from tfchain.runtime.fork import check_tensorflow_runs
from tfchain.training.batches.augmented_rows import RowAugmenter, check_augment
from tfchain.training.batches.layout import Layout
from tfchain.training.batches.maker import BatchMaker
from tfchain.training.batches.shard_batches import ShardBatchMaker, describe_shards, read_example
from tfchain.training.batches.training_data import NamedPairs, describe_datasets, make_training_set, read_datasets
from tfchain.training.distributed.strategies import find_task, is_tpu, make_strategy
from tfchain.training.distributed.workers import check_agreement, count_replicas, lost_workers, scope_of, share_weights
from tfchain.training.fit.checkpoint import TrainingCheckpoint
from tfchain.training.fit.checks import check_arguments, check_datasets
from tfchain.training.fit.divergence import DivergenceGuard, check_finite
from tfchain.training.fit.logs import make_log_callbacks
from tfchain.training.fit.matryoshka import note_matryoshka_dims
from tfchain.training.fit.optimizer import count_updates, make_optimizer
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.routed import set_trained_weights
from tfchain.training.fit.trainer import PairTrainer
from tfchain.training.fit.training_copy import make_training_copy, trained_weights
from tfchain.training.fit.training_hook import make_step_encoder
from tfchain.training.fit.validation import EvaluationCallback, Validation, make_in_training
from tfchain.training.fit.zero_loss import ZeroLossWarning, warn_without_negatives
from tfchain.training.losses import PairLoss
from tfchain.training.mining.rounds import MiningRounds

__all__ = ["FitOptions", "fit_text_encoder"]

logger = logging.getLogger(__name__)


def fit_text_encoder(
    text_encoder: TextEncoder,
    dataset: Any,
    hyperparameters: Hyperparameters,
    options: FitOptions | None = None,
    *,
    evaluate: Evaluate | None = None,
    validation: Validation | None = None,
) -> keras.callbacks.History:
    """Trains a text encoder's model in place; with an encoder of its own for queries (`query_route`), both together.

    Everything is checked before the first step; the model keeps its old weights until the training has succeeded, with
    a finite loss and finite weights.

    Args:
        text_encoder: The tokenizer and the encoder.
        dataset: Anything that `read_pairs` accepts, or a dict of datasets by name.
        hyperparameters: Batch size, learning rate, epochs and so on.
        options: Loss, strategy, checkpoint, logs.
        evaluate: Function from a text encoder to metrics, for `validation`. Default: no evaluation.
        validation: When to evaluate, and what to do with the result.

    Returns:
        Keras' `History`: losses and metrics by epoch, including those before an interruption.

    Raises:
        InputError: if the data, a hyperparameter, the strategy or the checkpoint is not suitable.
        DivergedError: if the loss or a weight is no longer finite.
        WorkerLostError: if another worker stopped.
    """
    options = options or FitOptions()
    check_tensorflow_runs()
    strategy = make_strategy(options.strategy)
    with lost_workers(find_task(strategy)[1], options.checkpoint):
        return _fit(text_encoder, dataset, hyperparameters, options, strategy, evaluate, validation)


def _fit(
    text_encoder: TextEncoder,
    dataset: Any,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    strategy: Any,
    evaluate: Evaluate | None,
    validation: Validation | None,
) -> keras.callbacks.History:
    worker, num_workers = find_task(strategy)
    check_arguments(text_encoder, dataset, hyperparameters, options, strategy, evaluate, validation)
    datasets = read_data(dataset, options)
    check_datasets(
        datasets,
        text_encoder,
        hyperparameters,
        options,
        is_sharded=isinstance(dataset, PairShards),
        needs_full=hyperparameters.drop_remainder or has_fixed_shapes(hyperparameters, strategy),
    )
    if options.augment:
        check_augment(options.augment, datasets, is_sharded=isinstance(dataset, PairShards))
        RowAugmenter(options.augment, lambda: datasets, text_encoder).check()
    identity = describe_training(text_encoder, dataset, datasets, hyperparameters, options, validation, num_workers)
    checkpoint, saved = _open_checkpoint(options, identity, strategy)
    copy, step_encoder = _make_encoders(text_encoder, hyperparameters, options, strategy)
    in_training = make_in_training(text_encoder, copy, strategy)
    callbacks: list[keras.callbacks.Callback] = [*options.hooks, DivergenceGuard()]
    evaluator = rounds = None
    if evaluate is not None:
        evaluator = EvaluationCallback(evaluate, in_training, validation or Validation(dataset=None), strategy)
        callbacks.append(evaluator)
    callbacks.extend(options.callbacks)
    if options.mining is not None:
        rounds = MiningRounds(
            options.mining,
            datasets,
            in_training,
            lambda named: make_training_set(named, text_encoder, guide=options.guide, progress=options.progress),
            epochs=hyperparameters.epochs,
            cross_check=options.cross_check,
            progress=options.progress,
        )
        callbacks.append(rounds)
    losses = [named.loss for named in datasets]
    maker = make_batches(dataset, datasets, text_encoder, hyperparameters, options, strategy, rounds, saved)

    trainer = _make_trainer(copy, step_encoder, maker, losses, hyperparameters, options, strategy)
    if not isinstance(maker, BatchMaker) or not warn_without_negatives(
        maker, losses, mask=hyperparameters.mask_false_negatives
    ):
        callbacks.append(ZeroLossWarning())
    epoch = step = 0
    if checkpoint is not None:
        checkpoint.evaluator = evaluator
        checkpoint.write_more = None if rounds is None else rounds.write
        callbacks.append(checkpoint)
        epoch, step = checkpoint.restore(trainer) or (0, 0)
    if options.log_path is not None and worker == 0:
        callbacks.extend(make_log_callbacks(options.log_path, append=(epoch, step) != (0, 0)))
    trainer.steps_done = epoch * maker.steps_per_epoch + step
    trainer.steps_to_skip = step
    if checkpoint is not None and checkpoint.stopped:  # it was stopped early and has nothing left to do
        epoch = hyperparameters.epochs
    for hook in options.hooks:
        hook.begin(maker.steps_per_epoch * hyperparameters.epochs)
    if isinstance(maker, BatchMaker) and rounds is not None:
        rounds.attach(maker, epoch)
    history = _run(trainer, maker, callbacks, hyperparameters, options, strategy, first_epoch=epoch)
    if checkpoint is not None:  # the history includes the epochs before an interruption
        history.history = {name: list(values) for name, values in checkpoint.history.items()}
        history.epoch = list(checkpoint.epochs)
    for hook in options.hooks:
        hook.strip(copy)
    weights = trained_weights(copy)
    check_finite(weights, trainer.steps_done)
    set_trained_weights(text_encoder, weights)
    note_matryoshka_dims(text_encoder, losses, options.guide)
    return history


def _open_checkpoint(
    options: FitOptions, identity: dict[str, Any], strategy: Any
) -> tuple[TrainingCheckpoint | None, Path | None]:
    """The checkpoint named in the options, and the save in it to resume from; all workers agree on both."""
    checkpoint = saved = None
    if options.checkpoint is not None:
        writes = find_task(strategy)[0] == 0
        checkpoint = TrainingCheckpoint(options.checkpoint, identity, every=options.checkpoint_every, writes=writes)
        saved = checkpoint.check()
    # Random weights differ from worker to worker; the chief's are shared later.
    found = {name: value for name, value in identity.items() if name != "model"}
    check_agreement(strategy, "data, options and checkpoint", [found, saved.name if saved else None])
    return checkpoint, saved


def _make_encoders(
    text_encoder: TextEncoder, hyperparameters: Hyperparameters, options: FitOptions, strategy: Any
) -> tuple[keras.Model, keras.Model]:
    """The copy that is trained, prepared by the hooks, and the model that the steps encode with."""
    worker, num_workers = find_task(strategy)
    with scope_of(strategy):
        route = text_encoder.query_route
        own: dict[str, Any] = {}
        if route is not None:
            own = {"query_encoder": route.own_encoder, "query_pad_id": route.tokenizer.pad_token_id}
        copy = make_training_copy(text_encoder.own_encoder, hyperparameters, **own)
        if num_workers > 1:
            share_weights(strategy, copy, is_chief=worker == 0)
        for hook in options.hooks:
            hook.prepare(copy)
        return copy, make_step_encoder(options.hooks, copy)


def _make_trainer(
    copy: keras.Model,
    step_encoder: keras.Model,
    maker: BatchMaker | ShardBatchMaker,
    losses: Sequence[PairLoss],
    hyperparameters: Hyperparameters,
    options: FitOptions,
    strategy: Any,
) -> PairTrainer:
    """Makes and compiles the Keras model that runs the training."""
    with scope_of(strategy):
        trainer = PairTrainer(
            copy,
            losses,
            num_columns=[rows.num_columns for rows in maker.sets],
            num_labels=[0 if rows.labels is None else rows.labels.shape[1] for rows in maker.sets],
            mini_batch_size=hyperparameters.mini_batch_size,
            mask_false_negatives=hyperparameters.mask_false_negatives,
            trim=maker.layout.layout.fixed_length is None,
            step_encoder=step_encoder,
        )
        num_steps = maker.steps_per_epoch * hyperparameters.epochs
        optimizer = make_optimizer(hyperparameters, step_encoder.trainable_weights, num_steps=num_steps)
        trainer.hooks = tuple(options.hooks)
        trainer.compile(optimizer=optimizer, jit_compile=hyperparameters.jit_compile)
    return trainer


def _run(
    trainer: PairTrainer,
    maker: BatchMaker | ShardBatchMaker,
    callbacks: Sequence[keras.callbacks.Callback],
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
        *(maker.steps_per_epoch, hyperparameters.epochs, count_replicas(strategy)),
        sum(map(_size, trainer.encoder.trainable_weights)),
    )
    check_agreement(strategy, "steps", [maker.steps_per_epoch, trainer.steps_done])
    with broken_rows(maker):
        history = trainer.fit(
            make_dataset(maker, strategy, trainer.steps_done),
            epochs=hyperparameters.epochs,
            initial_epoch=first_epoch,
            steps_per_epoch=maker.steps_per_epoch,
            callbacks=list(callbacks),
            verbose=1 if shown and find_task(strategy)[0] == 0 else 0,
            shuffle=False,
        )
    if not count_updates(trainer.optimizer):
        logger.warning("No step changed the weights: no gradient was finite. Train in float32 or bfloat16, or longer.")
    return history


def read_data(dataset: Any, options: FitOptions) -> list[NamedPairs]:
    """Reads the rows of each dataset and chooses its loss; of shards, reads only the first rows."""
    if not isinstance(dataset, PairShards):
        if options.data_service is not None:
            raise InputError(f"`data_service` reads PairShards. Received: {type(dataset).__name__}.")
        mined = 0 if options.mining is None else options.mining.num_negatives
        return read_datasets(dataset, options.loss, split=options.split, mined=mined)
    if options.mining is not None:
        raise InputError(
            "`mining` needs all queries in memory. Received: PairShards. Call `mine_negatives` on parts of the data, "
            "and write the result with `write_tfrecords`."
        )
    return [read_example(dataset, options.loss)]


def describe_training(
    text_encoder: TextEncoder,
    dataset: Any,
    datasets: Sequence[NamedPairs],
    hyperparameters: Hyperparameters,
    options: FitOptions,
    validation: Validation | None,
    num_workers: int,
) -> dict[str, Any]:
    """Plain values that identify a training, for its checkpoint."""
    described = {
        "model": text_encoder.fingerprint,
        "data": describe_datasets(datasets),
        "mixing": options.mixing,
        **hyperparameters.to_dict(),
    }
    if isinstance(dataset, PairShards):
        described["files"] = describe_shards(dataset)
        described["workers"] = num_workers  # they share the files: the batches depend on their number
    if text_encoder.query_route is not None:
        described["query_model"] = text_encoder.query_route.fingerprint
    if options.hooks:
        described["hooks"] = [dict(hook.describe()) for hook in options.hooks]
    if options.augment:
        described["augment"] = [[step.name, step.settings()] for step in options.augment]
    if options.guide is not None:
        described["guide"] = options.guide.fingerprint
    if options.mining is not None:
        values = {field.name: getattr(options.mining, field.name) for field in dataclasses.fields(options.mining)}
        corpus = options.mining.corpus
        values["corpus"] = str(corpus) if isinstance(corpus, str | Path) else type(corpus).__name__
        described["mining"] = values
        described["cross_check"] = getattr(options.cross_check, "fingerprint", type(options.cross_check).__name__)
    if validation is not None:
        described["monitor"] = validation.monitor or next(iter(validation.metrics or ()), None)
    return described


def make_batches(
    dataset: Any,
    datasets: Sequence[NamedPairs],
    text_encoder: TextEncoder,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    strategy: Any,
    rounds: MiningRounds | None,
    saved: Path | None,
) -> BatchMaker | ShardBatchMaker:
    """Makes the batch maker; negatives are mined here, or read from a save."""
    fixed = has_fixed_shapes(hyperparameters, strategy)
    common: dict[str, Any] = {
        "batch_size": hyperparameters.batch_size,
        "batches": hyperparameters.batches,
        "seed": hyperparameters.seed,
        "num_replicas": count_replicas(strategy),
        "layout": Layout(
            groups=1 if hyperparameters.mini_batch_size is not None else options.length_groups,
            fixed_length=text_encoder.longest if fixed else None,
            pad_token_id=text_encoder.tokenizer.pad_token_id,
        ),
    }
    if isinstance(dataset, PairShards):
        num_workers = find_task(strategy)[1]
        return ShardBatchMaker(
            dataset, datasets[0], text_encoder, **common, num_workers=num_workers, service=options.data_service
        )
    if rounds is not None:
        sets = rounds.start(saved)
    else:
        sets = [
            make_training_set(named, text_encoder, guide=options.guide, progress=options.progress) for named in datasets
        ]
    return BatchMaker(
        sets,
        **common,
        drop_remainder=hyperparameters.drop_remainder or fixed,
        mixing=options.mixing,
        steps_per_epoch=None if rounds is None else rounds.steps_per_epoch,
        augment=RowAugmenter(options.augment, lambda: datasets if rounds is None else rounds.rows, text_encoder)
        if options.augment
        else None,
    )


def has_fixed_shapes(hyperparameters: Hyperparameters, strategy: Any) -> bool:
    """Whether all batches must have the same shape, as TPUs and XLA require."""
    return is_tpu(strategy) or hyperparameters.jit_compile


@contextlib.contextmanager
def broken_rows(maker: BatchMaker | ShardBatchMaker) -> Iterator[None]:
    """Raises the error of a broken row instead of TensorFlow's, and in the end releases whatever waits for a batch."""
    try:
        yield
    except Exception as error:
        if isinstance(maker, ShardBatchMaker) and isinstance(maker.error, TfchainError):
            raise maker.error from error
        raise
    finally:
        maker.hold(None)


def make_dataset(maker: BatchMaker | ShardBatchMaker, strategy: Any, first_step: int) -> Any:
    """The batches from a step on, distributed over the strategy's replicas; each worker makes only its own rows."""
    if strategy is None:
        return maker.dataset(first_step)

    def make(context: Any) -> Any:
        share = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * share
        return maker.dataset(first_step, range(first, first + share))

    return strategy.distribute_datasets_from_function(make)


def _size(weight: Any) -> int:
    return int(np.prod(weight.shape))
