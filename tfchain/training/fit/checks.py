"""Checks that `fit` makes before texts are tokenized, negatives are mined or a model is copied."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfchain.core.checks import check_writable
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.core.task import Evaluate
from tfchain.data.shards.pair_shards import PairShards
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.batches.training_data import NamedPairs, can_be_mined
from tfchain.training.distributed.strategies import find_task, is_tpu
from tfchain.training.distributed.workers import count_replicas
from tfchain.training.fit.callback_checks import check_callbacks_fit
from tfchain.training.fit.divergence import find_not_finite
from tfchain.training.fit.options import FitOptions
from tfchain.training.fit.routed import check_routed_options, check_routed_rows
from tfchain.training.fit.validation import Validation
from tfchain.training.mining.mine import corpus_of
from tfchain.training.mining.options import Mining
from tfchain.training.mining.ranked_corpus import Corpus


def check_arguments(
    text_encoder: TextEncoder,
    dataset: Any,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    strategy: Any,
    evaluate: Evaluate | None,
    validation: Validation | None,
) -> None:
    """Raises if the arguments do not fit together; `check_datasets` checks the data.

    Raises:
        InputError: with what was expected, what was received and what to do.
    """
    check_replicas(hyperparameters, strategy, is_sharded=isinstance(dataset, PairShards))
    route = text_encoder.query_route
    if route is not None:
        fixed_by = "a TPU" if is_tpu(strategy) else "jit_compile=True" if hyperparameters.jit_compile else None
        check_routed_options(options, fixed_by=fixed_by)
    if validation is not None and evaluate is None:
        raise InputError(
            "`validation` needs a function that measures. Received: evaluate=None. Give one, or use `chain.fit`."
        )
    metrics = () if evaluate is None else (validation or Validation(dataset=None)).metrics
    check_callbacks_fit(options.callbacks, hyperparameters, metrics)
    if options.log_path is not None and find_task(strategy)[0] == 0:
        check_writable("log_path", Path(options.log_path))
    found = find_not_finite([*text_encoder.own_encoder.weights, *(() if route is None else route.own_encoder.weights)])
    if found is not None:
        raise InputError(
            f"The model's weights must be finite numbers. Received: NaN or infinity in {found}. Load the model again "
            "from a sound copy."
        )


def check_replicas(hyperparameters: Hyperparameters, strategy: Any, *, is_sharded: bool = False) -> None:
    """Raises if the hyperparameters do not work on this number of devices."""
    replicas = count_replicas(strategy)
    if hyperparameters.batch_size < replicas:
        raise InputError(
            f"`batch_size` is global and must be at least the number of replicas ({replicas}). "
            f"Received: batch_size={hyperparameters.batch_size}. Raise it, or train on fewer devices."
        )
    if hyperparameters.batch_size % replicas and (is_sharded or is_tpu(strategy)):
        raise InputError(
            f"`batch_size` is global; with PairShards and on TPUs it must be a multiple of the number of replicas "
            f"({replicas}). Received: batch_size={hyperparameters.batch_size}."
        )
    if hyperparameters.jit_compile and replicas > 1 and not is_tpu(strategy):
        raise InputError(f"`jit_compile` works on one device, or on TPUs. Received: {replicas} replicas. Leave it out.")
    if hyperparameters.accumulation_steps > 1 and replicas > 1:  # Keras' own fails there, inside a graph
        raise InputError(
            f"`accumulation_steps` works on one device. Received: {hyperparameters.accumulation_steps} steps and "
            f"{replicas} replicas. Use `mini_batch_size` for large batches."
        )


def check_datasets(
    datasets: Sequence[NamedPairs],
    text_encoder: TextEncoder,
    hyperparameters: Hyperparameters,
    options: FitOptions,
    *,
    is_sharded: bool,
    needs_full: bool,
) -> None:
    """Raises if the rows do not fit the model and the options.

    Args:
        datasets: The rows; of shards, only the first.
        text_encoder: The text encoder to train.
        hyperparameters: The training's hyperparameters.
        options: The training's options.
        is_sharded: Whether `datasets` holds only the first rows.
        needs_full: Whether incomplete batches are left out.
    """
    guide_dim = None if options.guide is None else options.guide.embedding_dim
    for named in datasets:
        named.loss.check_vectors(text_encoder.embedding_dim, guide_dim)
    if text_encoder.query_route is not None:
        check_routed_rows(datasets)
    if options.mining is not None:
        check_mining(datasets, options.mining)
    if is_sharded:
        return
    batch_size = hyperparameters.batch_size
    for named in datasets:
        if needs_full and options.mining is None and len(named.pairs) < batch_size:
            raise InputError(
                f"No batch is full, and `drop_remainder` leaves out all others (as do TPUs and XLA). Received: "
                f"{len(named.pairs)} rows of {named.name}, batch_size={batch_size}. Use a smaller batch_size, or "
                "drop_remainder=False."
            )
    most = sum(len(named.pairs) for named in datasets) * hyperparameters.epochs  # steps, if each batch were one row
    if hyperparameters.accumulation_steps > most:
        raise InputError(
            f"`accumulation_steps` must be at most the steps of the whole training, {most}, or the weights never "
            f"change. Received: accumulation_steps={hyperparameters.accumulation_steps}."
        )


def check_mining(datasets: Sequence[NamedPairs], mining: Mining) -> None:
    """Raises if no dataset can have mined negatives, or the documents to mine from cannot be read."""
    minable = [named for named in datasets if can_be_mined(named.pairs)]
    if not minable:
        raise InputError(
            "`mining` needs a dataset of queries and documents without labels. Received: "
            + "; ".join(
                f"{named.name} with {named.pairs.num_columns} text(s) a row"
                + ("" if named.pairs.labels is None else ", labels")
                for named in datasets
            )
            + "."
        )
    for named in minable:
        corpus = corpus_of(named.source) if mining.corpus is None else mining.corpus
        if corpus is not None:
            Corpus(corpus).check()
