"""TensorFlow Serving's batching parameters: their text format, their defaults, and what is wrong with them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.deployment.server.status import invalid_argument
from tfchain.deployment.server.text_proto import make_message, read_text_proto

PARAMETERS_FILE = "batching_params.pbtxt"  # in a version's folder
DEFAULT_POOL_NAME = "model_server_batch_threads"
DEFAULT_MAX_BATCH_SIZE = 1000
DEFAULT_MAX_ENQUEUED_BATCHES = 10


@dataclass(frozen=True, slots=True)
class BatchingParameters:
    """How requests are batched, in TensorFlow Serving's terms and with its defaults.

    Args:
        max_batch_size: The most rows of a request, and of a batch unless large requests are split. Default: 1000.
        batch_timeout_micros: How long a batch waits for more requests before it runs. Default: 0.
        max_enqueued_batches: The most batches of a signature that wait; then requests are refused. Default: 10.
        num_batch_threads: The batches that run at the same time, over all models; None for the number of CPUs.
        thread_pool_name: The name of the threads. Default: `model_server_batch_threads`.
        allowed_batch_sizes: The sizes of batches, ascending; smaller batches are padded to the next. Default: any size.
        pad_variable_length_inputs: Whether inputs of different shapes are padded to share a batch. Default: False, they
            are an error.
        enable_large_batch_splitting: Whether large requests are split among batches. Default: False.
        max_execution_batch_size: The most rows of a batch if large requests are split; None for `max_batch_size`.
    """

    max_batch_size: int = DEFAULT_MAX_BATCH_SIZE
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = DEFAULT_MAX_ENQUEUED_BATCHES
    num_batch_threads: int | None = None
    thread_pool_name: str = DEFAULT_POOL_NAME
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int | None = None

    @property
    def num_threads(self) -> int:
        """The number of batch threads."""
        return (os.cpu_count() or 1) if self.num_batch_threads is None else self.num_batch_threads

    @property
    def largest_batch(self) -> int:
        """The most rows in a batch."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size is not None:
            return self.max_execution_batch_size
        return self.max_batch_size

    @property
    def largest_queue(self) -> int:
        """The most batches in a queue; stock corrects a 0 unless large requests are split."""
        if not self.enable_large_batch_splitting and self.max_enqueued_batches == 0:
            return 1
        return self.max_enqueued_batches

    def check_queue(self) -> None:
        """Raises if no version can be served with these parameters.

        Raises:
            StatusError: with the codes and texts of stock TensorFlow Serving, where the load of a version fails.
        """
        last = self.allowed_batch_sizes[-1] if self.allowed_batch_sizes else self.max_batch_size
        if last != self.max_batch_size:
            raise invalid_argument(
                "Last entry in allowed_batch_sizes must match max_batch_size; "
                f"last entry was {last}; expected {self.max_batch_size}"
            )
        if self.max_batch_size <= 0:
            raise invalid_argument(f"input_batch_size_limit must be positive; was {self.max_batch_size}")
        if self.batch_timeout_micros < 0:
            raise invalid_argument(f"batch_timeout_micros must be non-negative; was {self.batch_timeout_micros}")
        if self.largest_queue <= 0:
            raise invalid_argument(f"max_enqueued_batches must be positive; was {self.max_enqueued_batches}")
        if self.enable_large_batch_splitting and self.max_batch_size < self.largest_batch:
            raise invalid_argument(
                "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
                "max_execution_batch_size."
            )
        if self.largest_batch <= 0:
            raise invalid_argument(f"max_execution_batch_size must be positive; was {self.largest_batch}")

    def check_threads(self) -> None:
        """Raises if no batch could run; the server does not start then.

        Raises:
            StatusError: with the code and text of stock TensorFlow Serving.
        """
        if self.num_batch_threads is not None and self.num_batch_threads < 1:
            raise invalid_argument(f"num_batch_threads must be positive; was {self.num_batch_threads}")


def read_parameters(path: Path | str) -> BatchingParameters:
    """Reads a file of batching parameters in protobuf's text format.

    Raises:
        InputError: if it cannot be read, or is not such a file.
    """
    message = read_text_proto(path, make_message("session_bundle_config", "BatchingParameters"))
    values: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is None:
            values[field.name] = value if isinstance(value, bool) else tuple(value)
        elif message.HasField(field.name):
            values[field.name] = value.value
    return BatchingParameters(**values)
