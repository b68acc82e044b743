"""Statistics of a scheduler: plain counters, and a listener that is told of each batch and each dropped request."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(slots=True)  # a frozen one takes several times as long to make
class BatchRecord:
    """A batch that is about to run, a request that was dropped before it could, or another event.

    Args:
        kind: `batch` or `drop`; `request` for a request that comes, told by TensorFlow Serving's batching alone; `end`
            when the version is closed.
        signature: The signature's name.
        num_requests: The number of requests.
        num_rows: Their rows, without padding.
        num_padding_rows: The rows that were added.
        num_tokens: Rows times the estimated tokens of the longest row; 0 where tokens are not estimated.
        waiting_seconds: How long each request waited.
    """

    kind: str
    signature: str
    num_requests: int
    num_rows: int
    num_padding_rows: int = 0
    num_tokens: int = 0
    waiting_seconds: tuple[float, ...] = ()


class BatchingStatistics:
    """Counters since the version was loaded, and the listener.

    A scheduler changes the counters under its lock and calls the listener outside of it. Reading needs no lock.

    Args:
        listener: Called with each record, in the thread that runs the batch. Default: none.

    Attributes:
        queue_length: The number of requests that wait now.
        num_running: The number of batches that run now.
        num_batches: The number of batches.
        num_requests: The number of requests in them.
        num_rows: The number of their rows, without padding.
        num_padding_rows: The number of rows that were added to reach an allowed size.
        num_tokens: The estimated tokens of the batches that waited, padding included.
        num_dropped: The number of requests whose deadline passed before they ran.
        num_retried: The number of batches that failed, and whose requests ran again one by one.
        waiting_seconds: The sum of the requests' waiting times.
    """

    def __init__(self, listener: Callable[[BatchRecord], None] | None = None) -> None:
        self.listener = listener
        self.queue_length = 0
        self.num_running = 0
        self.num_batches = 0
        self.num_requests = 0
        self.num_rows = 0
        self.num_padding_rows = 0
        self.num_tokens = 0
        self.num_dropped = 0
        self.num_retried = 0
        self.waiting_seconds = 0.0

    def count(self, record: BatchRecord) -> None:
        """Adds a record to the counters; the caller holds the scheduler's lock."""
        if record.kind == "drop":
            self.num_dropped += record.num_requests
            return
        self.num_batches += 1
        self.num_requests += record.num_requests
        self.num_rows += record.num_rows
        self.num_padding_rows += record.num_padding_rows
        self.num_tokens += record.num_tokens
        self.waiting_seconds += sum(record.waiting_seconds)

    def tell(self, record: BatchRecord) -> None:
        """Calls the listener, if there is one; its errors do not reach the request."""
        if self.listener is not None:
            try:
                self.listener(record)
            except Exception:
                logger.exception("the listener of a scheduler failed")
