"""What workers share and agree on: weights, vectors, the same data; and what happens when one is lost."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfchain.core.errors import InputError, WorkerLostError, first_line
from tfchain.core.fingerprint import make_fingerprint
from tfchain.training.distributed.strategies import find_task, is_multi_worker


def gather_over_workers(strategy: Any, values: np.ndarray) -> np.ndarray:
    """The rows of all workers, in their order; every worker must call it, with as many rows."""
    import tensorflow as tf

    @tf.function
    def gather() -> Any:
        return strategy.run(
            lambda: tf.distribute.get_replica_context().all_gather(tf.identity(tf.constant(values)), axis=0)
        )

    gathered: np.ndarray = strategy.experimental_local_results(gather())[0].numpy()
    local = strategy.num_replicas_in_sync // find_task(strategy)[1]
    parts = gathered.reshape(strategy.num_replicas_in_sync, *values.shape)[::local]
    return parts.reshape(-1, *values.shape[1:])


def from_chief(strategy: Any, values: np.ndarray) -> np.ndarray:
    """The chief's values, on every worker; each must call it, with the same shape."""
    if strategy is None or not is_multi_worker(strategy):
        return values
    return gather_over_workers(strategy, values[None])[0]


def check_agreement(strategy: Any, what: str, values: Any) -> None:
    """Raises where the workers would not train on the same: they would wait for each other for ever, or diverge.

    Args:
        strategy: What they train under.
        what: Names the values for the error.
        values: Plain values, which must be the same on all workers.
    """
    if find_task(strategy)[1] == 1:
        return
    own = np.frombuffer(bytes.fromhex(make_fingerprint({"values": values}, []))[:8], dtype="int64")
    found = gather_over_workers(strategy, own[None]).reshape(-1).tolist()
    if len(set(found)) > 1:
        differing = [number for number, value in enumerate(found) if value != found[0]]
        raise InputError(
            f"The workers' {what} differ: expected the same on all, but worker {differing[0]} has others than worker "
            "0. Give all of them the same rows (as many, in the same order) and arguments, and a checkpoint's folder "
            "that all see."
        )


def count_replicas(strategy: Any) -> int:
    """Devices that share a batch."""
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)


def scope_of(strategy: Any) -> Any:
    """The strategy's scope; nothing on one device."""
    return strategy.scope() if strategy is not None else contextlib.nullcontext()


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
            f"TensorFlow said: {first_line(error)}"
        ) from error
