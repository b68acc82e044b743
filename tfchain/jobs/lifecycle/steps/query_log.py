"""Reads the query log for the steps of a life cycle."""

from collections import deque
from pathlib import Path


def read_queries(log: Path, *, version: int | None = None, most: int) -> list[str]:
    """Returns the texts of the latest queries in a log, the oldest of them first.

    Args:
        log: The log's folder; without a log there are no queries.
        version: Only those that this version answered. Default: all.
        most: How many at most.
    """
    from tfchain.monitoring.log.log_file import list_files
    from tfchain.monitoring.log.log_reader import LogReader

    if not list_files(log):
        return []
    found = (query.text for query in LogReader(log).queries() if version is None or query.version == version)
    return list(deque((text for text in found if text.strip()), maxlen=most))
