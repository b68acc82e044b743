"""Training an encoder: data, strategy, copy, optimizer and callbacks put together for Keras' `Model.fit`."""

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError, WorkerLostError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.data.samplers import Mixing
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.batches import BatchMaker, Layout
from tfchain.training.checkpoint import TrainingCheckpoint
from tfchain.training.evaluation import Evaluate, RankingEvaluator, TrainingTextEncoder, Validation
from tfchain.training.logs import make_log_callbacks
from tfchain.training.optimizer import make_optimizer
from tfchain.training.strategies import find_task, is_tpu, make_strategy
from tfchain.training.trainer import PairTrainer
from tfchain.training.training_copy import make_training_copy, trained_weights
from tfchain.training.training_data import LossChoice, describe_datasets, make_training_set, read_datasets

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a training runs, beside its hyperparameters.

    Args:
        loss: A loss, its name, a dict of `name` and arguments, or, with several datasets, a dict of such by the
            datasets' names. Default: what suits the columns.
        split: Of a BEIR folder. Default: `train`.
        strategy: See `make_strategy`. Default: `auto`.
        checkpoint: A folder to save to, and to go on from. Default: none.
        checkpoint_every: Steps between two saves, beside epochs' ends. Default: none.
        callbacks: Keras callbacks of your own. Default: none.
        log_path: A folder for `training.csv` and TensorBoard's events. Default: none.
        mixing: Of several datasets: `round_robin` takes a batch of each in turn until the shortest is used up,
            `proportional` all batches in random order. Default: `round_robin`.
        guide: The model that a guided loss asks. Default: none.
        length_groups: Rectangles that a batch's texts are cut into by length; see `Layout`. Default: 4.
        progress: Whether to show progress bars. Default: when standard error is a terminal.
    """

    loss: LossChoice = None
    split: str = "train"
    strategy: Any = "auto"
    checkpoint: str | Path | None = None
    checkpoint_every: int | None = None
    callbacks: Sequence[keras.callbacks.Callback] = ()
    log_path: str | Path | None = None
    mixing: Mixing = "round_robin"
    guide: TextEncoder | None = None
    length_groups: int = 4
    progress: bool | None = None

    def __post_init__(self) -> None:
        if self.checkpoint_every is not None:
            check_whole_number("checkpoint_every", self.checkpoint_every)
            if self.checkpoint is None:
                raise InputError("`checkpoint_every` needs a folder. Received: checkpoint=None. Name one.")
        if self.mixing not in ("round_robin", "proportional"):
            raise InputError(f"`mixing` must be 'round_robin' or 'proportional'. Received: mixing={self.mixing!r}.")
        check_whole_number("length_groups", self.length_groups, least=0)


def fit_text_encoder(
    text_encoder: TextEncoder,
    dataset: Any,
    hyperparameters: Hyperparameters,
    options: FitOptions | None = None,
    *,
    evaluate: Evaluate | None = None,
    validation: Validation | None = None,
) -> keras.callbacks.History:
    """Trains a text encoder's model in place.

    Everything is checked before the first step; the model keeps its weights until the training has ended well.

    Args:
        text_encoder: The tokenizer and the encoder.
        dataset: Anything that `read_pairs` takes, or a dict of such by name.
        hyperparameters: What is trained how.
        options: Loss, strategy, checkpoint, logs.
        evaluate: From a text encoder to metrics, for `validation`. Default: nothing is evaluated.
        validation: When to evaluate, and what follows.

    Returns:
        Keras' `History`: losses and metrics by epoch, those before a stop included.

    Raises:
        InputError: if the data, a hyperparameter, the strategy or the checkpoint does not fit.
        WorkerLostError: if another worker stopped.
    """
    options = options or FitOptions()
    strategy = make_strategy(options.strategy)
    datasets = read_datasets(dataset, options.loss, split=options.split)
    replicas = 1 if strategy is None else strategy.num_replicas_in_sync
    worker, num_workers = find_task(strategy)
    if hyperparameters.accumulation_steps > 1 and replicas > 1:  # Keras' own fails there, in the middle of a graph
        raise InputError(
            f"`accumulation_steps` works on one device. Received: {hyperparameters.accumulation_steps} steps and "
            f"{replicas} replicas. Use `mini_batch_size` for large batches."
        )
    fixed = is_tpu(strategy) or hyperparameters.jit_compile
    groups = 1 if hyperparameters.mini_batch_size is not None else options.length_groups
    maker = BatchMaker(
        [make_training_set(one, text_encoder, guide=options.guide, progress=options.progress) for one in datasets],
        batch_size=hyperparameters.batch_size,
        batches=hyperparameters.batches,
        seed=hyperparameters.seed,
        num_replicas=replicas,
        layout=Layout(
            groups=groups,
            fixed_length=text_encoder.tokenizer.max_length if fixed else None,
            pad_token_id=text_encoder.tokenizer.pad_token_id,
        ),
        drop_remainder=hyperparameters.drop_remainder or fixed,
        mixing=options.mixing,
    )
    num_steps = maker.steps_per_epoch * hyperparameters.epochs

    with strategy.scope() if strategy is not None else contextlib.nullcontext():
        copy = make_training_copy(text_encoder.encoder, hyperparameters)
        if num_workers > 1:
            share_weights(strategy, copy, is_chief=worker == 0)
        trainer = PairTrainer(
            copy,
            [one.loss for one in datasets],
            num_columns=[one.num_columns for one in maker.sets],
            num_labels=[0 if one.labels is None else one.labels.shape[1] for one in maker.sets],
            mini_batch_size=hyperparameters.mini_batch_size,
            mask_false_negatives=hyperparameters.mask_false_negatives,
            trim=not fixed,
        )
        optimizer = make_optimizer(hyperparameters, copy.trainable_weights, num_steps=num_steps)
        trainer.compile(optimizer=optimizer, jit_compile=hyperparameters.jit_compile)

    callbacks = list(options.callbacks)
    evaluator = None
    if evaluate is not None:
        in_training = TrainingTextEncoder(text_encoder, copy, strategy)
        evaluator = RankingEvaluator(evaluate, in_training, validation or Validation(dataset=None), strategy)
        callbacks.insert(0, evaluator)
    checkpoint, position = None, (0, 0)
    if options.checkpoint is not None:
        checkpoint = TrainingCheckpoint(
            options.checkpoint,
            {
                "model": text_encoder.fingerprint,
                "data": describe_datasets(datasets),
                "mixing": options.mixing,
                **hyperparameters.to_dict(),
            },
            every=options.checkpoint_every,
            writes=worker == 0,
            evaluator=evaluator,
        )
        callbacks.append(checkpoint)
        position = checkpoint.restore(trainer) or position
    if options.log_path is not None and worker == 0:
        callbacks.extend(make_log_callbacks(options.log_path, append=position != (0, 0)))
    epoch, step = position
    trainer.steps_done = epoch * maker.steps_per_epoch + step
    trainer.steps_to_skip = step

    if checkpoint is not None and checkpoint.stopped:  # it had been ended early, and has nothing left to do
        epoch = hyperparameters.epochs
    shown = options.progress if options.progress is not None else sys.stderr.isatty()
    logger.info(
        "Training: %d steps an epoch, %d epochs, %d replica(s), %d weights.",
        *(maker.steps_per_epoch, hyperparameters.epochs, replicas, sum(map(_size, copy.trainable_weights))),
    )
    with lost_workers(num_workers, options.checkpoint):
        history = trainer.fit(
            make_dataset(maker, strategy, trainer.steps_done),
            epochs=hyperparameters.epochs,
            initial_epoch=epoch,
            steps_per_epoch=maker.steps_per_epoch,
            callbacks=callbacks,
            verbose=1 if shown and worker == 0 else 0,
            shuffle=False,
        )
    if checkpoint is not None:  # what was before a stop is part of the history
        history.history = {name: list(values) for name, values in checkpoint.history.items()}
        history.epoch = list(checkpoint.epochs)
    text_encoder.encoder.set_weights(trained_weights(copy))
    text_encoder.refresh()
    return history


def make_dataset(maker: BatchMaker, strategy: Any, first_step: int) -> Any:
    """The batches from a step on, distributed over the strategy's replicas; each worker makes its own rows alone."""
    if strategy is None:
        return maker.dataset(first_step)

    def make(context: Any) -> Any:
        share = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * share
        return maker.dataset(first_step, range(first, first + share))

    return strategy.distribute_datasets_from_function(make)


def share_weights(strategy: Any, model: keras.Model, *, is_chief: bool) -> None:
    """Gives the chief's weights to all workers: new weights are random, and other on each machine."""
    import tensorflow as tf

    values = [np.array(weight) if is_chief else np.zeros(weight.shape, weight.dtype) for weight in model.weights]
    local = strategy.num_replicas_in_sync // find_task(strategy)[1]

    @tf.function
    def share(own: Any) -> Any:
        def of_replica(own: Any) -> Any:
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, [one * 1 for one in own])

        return strategy.run(of_replica, args=(own,))

    for weight, total in zip(model.weights, share([tf.constant(value) for value in values]), strict=True):
        weight.assign(strategy.experimental_local_results(total)[0].numpy() / local)


@contextlib.contextmanager
def lost_workers(num_workers: int, checkpoint: str | Path | None) -> Iterator[None]:
    """Turns what TensorFlow says when another worker is gone into one clear error."""
    import tensorflow as tf

    try:
        yield
    except (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.InternalError,
    ) as error:
        if num_workers < 2:
            raise
        go_on = f"Start all of them again: they go on from {checkpoint}." if checkpoint else "Start all of them again."
        raise WorkerLostError(
            f"Another of the {num_workers} workers stopped or cannot be reached, so this one stops, too. {go_on} "
            f"TensorFlow said: {str(error).splitlines()[0][:200]}"
        ) from error


def _size(weight: Any) -> int:
    return int(np.prod(weight.shape))
