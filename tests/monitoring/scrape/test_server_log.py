"""Readings of servers are kept beside the query log, and never delete its queries."""

import math
from pathlib import Path

from tests.monitoring.log_files import write_log
from tfchain.core.observation import Observation
from tfchain.monitoring.log.log_file import list_files
from tfchain.monitoring.log.log_reader import LogReader
from tfchain.monitoring.log.retention import Purger
from tfchain.monitoring.scrape.rates import Rates
from tfchain.monitoring.scrape.server_log import ServerLog, read_server_log

RATES = Rates("docs", 15.0, 30, 1, 4.0, 9.0, math.nan)


def test_readings_are_written_and_read_by_their_time(tmp_path: Path) -> None:
    moments = iter([100.0, 115.0, 130.0])
    with ServerLog(tmp_path, "http://server", clock=lambda: next(moments, 130.0)) as log:
        log.add([Rates("docs", 0.0, 900, 0, 1.0, 2.0, 3.0)])
        log.add([RATES])
    assert [(moment, rates.requests, rates.p99_ms) for moment, rates in read_server_log(tmp_path)] == [(130.0, 30, 9.0)]
    ((_, rates),) = read_server_log(tmp_path)
    assert math.isnan(rates.run_p99_ms)
    assert list(read_server_log(tmp_path, since=131.0)) == []
    assert list(read_server_log(tmp_path, until=130.0)) == []


def test_lines_that_are_no_readings_are_left_out(tmp_path: Path) -> None:
    lines = ['{"timestamp": 3}', '{"timestamp": "1970-01-01T00:00:01Z", "seconds": "x"}', "half"]
    (tmp_path / "servers-00000001-host-1.jsonl").write_text("\n".join(lines))
    assert list(read_server_log(tmp_path)) == []


def test_a_purge_of_readings_leaves_queries_alone(tmp_path: Path) -> None:
    write_log(tmp_path, [Observation(1.0, "m", 1, "search", "q", "x" * 500)])
    with ServerLog(tmp_path, "s") as log:
        log.add([RATES])
    Purger(tmp_path, max_bytes=1, max_age_seconds=1e9, kind="servers").purge()
    assert [file.kind for file in list_files(tmp_path)] == ["queries"]
    assert len(list(LogReader(tmp_path).queries())) == 1
