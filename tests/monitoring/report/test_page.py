"""The report's page: everything is text, and nothing is loaded or run."""

from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.log_files import write_log
from tfchain.core.observation import Feedback, Observation
from tfchain.monitoring.log.log_reader import LogReader
from tfchain.monitoring.report.page import render_report, write_report
from tfchain.monitoring.report.traffic import measure_traffic

HOSTILE = "<script>alert(1)</script>&"
DRIFT: dict[str, Any] = {
    "causes": ["queries"],
    "queries": {
        "values": {"mean_discrepancy": 0.25, "length": None},
        "thresholds": {"mean_discrepancy": 0.1},
        "newcomers": {"share": 0.4, "clusters": [{"size": 12, "examples": [HOSTILE, "my card is gone"]}]},
    },
    "documents": None,
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> LogReader:
    records = [
        Observation(60.0, "docs", 1, "search", "q1", HOSTILE, ("a",), (0.5,), 7.0, num_tokens=3),
        Observation(70.0, "docs", 1, "search", "q2", "x" * 500, (), (), 9.0),
        Feedback(80.0, HOSTILE, "q1", "a", 1),
        Feedback(80.0, "click", "q1", "a", 1),
    ]
    return LogReader(write_log(tmp_path_factory.mktemp("log"), records))


def test_the_page_has_its_sections_and_shows_texts_as_texts(reader: LogReader, tmp_path: Path) -> None:
    path = write_report(tmp_path / "report.html", measure_traffic(reader), title=f"Week {HOSTILE}", drift=DRIFT)
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;") >= 4  # title, head, query, action, drift
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    for text in (
        "Most asked",
        "Without a good answer",
        "Clicks by place",
        "Latency a minute",
        "nothing found",
        "Models",
    ):
        assert text in page
    assert "Drift of queries." in page
    assert "40% of the latest queries are new:" in page
    assert "<li>12: " in page
    assert "x" * 159 + "…" in page
    assert "src=" not in page
    assert "http://" not in page.replace("http-equiv", "")


def test_drift_of_any_form_does_not_break_the_page(reader: LogReader) -> None:
    traffic = measure_traffic(reader)
    for drift in ({}, {"causes": 3, "queries": [1]}, {"queries": {"newcomers": {"clusters": [3]}}}):
        assert "No drift." in render_report(traffic, title="t", drift=drift)


def test_a_log_without_queries_in_its_time_says_so(reader: LogReader) -> None:
    late = LogReader(reader._folder, since=1e12)
    assert "No queries were logged in this time." in render_report(measure_traffic(late), title="t")
