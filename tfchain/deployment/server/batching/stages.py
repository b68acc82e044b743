"""The stages of a request that waited for a batch, of which another thread may have done the work."""

from tfchain.core.stages import QUEUE, RUN, StageRecord


def add_waiting(record: StageRecord, num_stages: int, arrival: float, start: float, end: float) -> None:
    """Adds the time in the queue, and the run of the batch if the request's own thread did not do it.

    Args:
        record: The request's record.
        num_stages: The number of its stages before the request waited.
        arrival: When it began to wait.
        start: When its batch began; 0 if none did.
        end: When it had its answer, or its error.
    """
    is_led_elsewhere = len(record.stages) == num_stages
    record.add(QUEUE, arrival, start or end)
    if start and is_led_elsewhere:
        record.add(RUN, start, end)
