"""Small query logs for tests."""

from collections.abc import Iterable
from pathlib import Path

from tfchain.core.observation import Feedback, Observation
from tfchain.monitoring.log.query_log import QueryLog, QueryLogOptions


def write_log(folder: Path, records: Iterable[Observation | Feedback]) -> Path:
    """Writes a log without masks, and returns its folder."""
    with QueryLog(QueryLogOptions(folder), mask=lambda text: text) as log:
        for record in records:
            if isinstance(record, Observation):
                log.observe(record)
            else:
                log.take_feedback(record)
    return folder
