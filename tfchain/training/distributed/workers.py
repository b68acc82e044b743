"""What workers share and agree on: weights, vectors, the same data; and what happens if a worker is lost."""

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
    """Gathers the rows of all workers, in their order; every worker must call it with the same number of rows."""
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
    """Returns the chief's values on every worker; each must call it, with the same shape."""
    if strategy is None or not is_multi_worker(strategy):
        return values
    return gather_over_workers(strategy, values[None])[0]


def check_agreement(strategy: Any, what: str, values: Any) -> None:
    """Raises if the workers would not train on the same data: they would wait for each other forever, or diverge.

    Args:
        strategy: The strategy of the training.
        what: Names the values in the error.
        values: Plain values, which must be the same on all workers.
    """
    if find_task(strategy)[1] == 1:
        return
    own = np.frombuffer(bytes.fromhex(make_fingerprint({"values": values}, []))[:8], dtype="int64")
    found = gather_over_workers(strategy, own[None]).reshape(-1).tolist()
    if len(set(found)) > 1:
        differing = [number for number, value in enumerate(found) if value != found[0]]
        raise InputError(
            f"The workers' {what} differ: expected the same on all, but those of worker {differing[0]} are not those "
            "of worker 0. Give all of them the same rows (as many, in the same order) and arguments, and a checkpoint "
            "folder that all can reach."
        )


def count_replicas(strategy: Any) -> int:
    """Devices that share a batch."""
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)


def scope_of(strategy: Any) -> Any:
    """The strategy's scope; a null context on one device."""
    return strategy.scope() if strategy is not None else contextlib.nullcontext()


def share_weights(strategy: Any, model: keras.Model, *, is_chief: bool) -> None:
    """Gives the chief's weights to all workers: new weights are random, and differ between machines."""
    import tensorflow as tf

    values = [np.array(weight) if is_chief else np.zeros(weight.shape, weight.dtype) for weight in model.weights]
    local = strategy.num_replicas_in_sync // find_task(strategy)[1]

    @tf.function
    def share(own: Any) -> Any:
        def of_replica(own: Any) -> Any:
            return tf.distribute.get_replica_context().all_reduce(
                tf.distribute.ReduceOp.SUM, [part * 1 for part in own]
            )

        return strategy.run(of_replica, args=(own,))

    for weight, total in zip(model.weights, share([tf.constant(value) for value in values]), strict=True):
        weight.assign(strategy.experimental_local_results(total)[0].numpy() / local)


@contextlib.contextmanager
def lost_workers(num_workers: int, checkpoint: str | Path | None) -> Iterator[None]:
    """Turns the errors that TensorFlow raises when another worker is gone into a clear one."""
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
        go_on = f"Start all of them again: they resume from {checkpoint}." if checkpoint else "Start all of them again."
        raise WorkerLostError(
            f"Another of the {num_workers} workers stopped or cannot be reached, so this one stops, too. {go_on} "
            f"TensorFlow said: {first_line(error)}"
        ) from error
