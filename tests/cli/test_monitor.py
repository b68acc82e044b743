"""`tfchain monitor`: a server is watched by its metrics."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.monitoring.log_files import write_log
from tfchain.core.observation import Feedback, Observation
from tfchain.monitoring.scrape.server_log import read_server_log

PAGES = [
    f':tensorflow:serving:request_count{{model_name="docs",status="OK"}} {number}\n'
    f':tensorflow:serving:request_latency_bucket{{model_name="docs",le="1000"}} {number}\n'
    f':tensorflow:serving:request_latency_bucket{{model_name="docs",le="+Inf"}} {number}\n'
    for number in (10, 16)
]


@pytest.fixture
def url() -> Iterator[str]:
    """A server that has answered ten requests at the first reading, and six more at the second."""
    pages = iter(PAGES)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(next(pages).encode())

        def log_message(self, *_: object) -> None: ...

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_server_is_watched_by_its_metrics(run: Run, url: str) -> None:
    result = run("monitor", "--scrape", url, "--times", 2, "--every", 0.1, "--json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["model"], first["requests"], first["per_second"]) == ("docs", 10, None)
    assert (second["requests"], second["errors"], second["p50_ms"]) == (6, 0, 0.5)
    assert second["per_second"] == pytest.approx(6 / second["seconds"])


def test_readings_are_kept_for_the_report(run: Run, url: str, tmp_path: Path) -> None:
    asked = ("monitor", "--scrape", url, "--query-log", tmp_path / "log", "--times", 2, "--every", 0.1)
    assert run(*asked).exit_code == 0
    ((_, only),) = read_server_log(tmp_path / "log")  # the first is all since the start, which is no time
    assert (only.model, only.requests, only.p50_ms) == ("docs", 6, 0.5)
    page = report_of(run, tmp_path / "log", tmp_path)
    assert "docs: requests a second" in page
    assert "No queries were logged" in page


def test_people_read_a_line(run: Run, url: str) -> None:
    shown = run("monitor", "--scrape", url, "--times", 1).stdout
    assert "docs        10 since the start  0 errors  p50 0.50 ms  p99 0.99 ms" in shown


def test_without_a_server_or_a_subcommand_it_says_what_it_needs(run: Run) -> None:
    result = run("monitor")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: `tfchain monitor` needs a server or a subcommand.")


@pytest.fixture(scope="module")
def query_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of a page whose users click the cat first, wherever it stands."""
    folder = tmp_path_factory.mktemp("log")
    records: list[Observation | Feedback] = []
    for number in range(40):
        ids = ("cat", "dog") if number % 2 else ("dog", "cat")
        page = {"application": "page"}
        records.append(
            Observation(
                100.0 + number, "docs", 1, "search", f"q{number}", "Cat?", ids, (0.9, 0.5), 4.0, attributes=page
            )
        )
        if number % 2 or number % 4 == 0:  # half as often in the second place
            records.append(Feedback(100.0 + number, "click", f"q{number}", "cat", ids.index("cat") + 1))
    return write_log(folder, records)


def test_a_report_is_made_of_a_query_log(run: Run, query_log: Path, tmp_path: Path) -> None:
    drift = tmp_path / "drift.json"
    drift.write_text('{"causes": []}')
    out = tmp_path / "report.html"
    result = run("monitor", "report", "--query-log", query_log, "--out", out, "--drift", drift, "--json")
    values = json.loads(result.stdout)
    assert (values["queries"], values["events"], values["clicked"], values["p50_ms"]) == (40, 30, 30, 4.0)
    assert "No drift." in out.read_text(encoding="utf-8")
    assert "No queries were logged" in report_of(run, query_log, tmp_path, "--days", 1)
    drift.write_text("[]")
    failed = run("monitor", "report", "--query-log", query_log, "--out", out, "--drift", drift)
    assert "has no JSON object" in failed.stderr
    failed = run("monitor", "report", "--query-log", tmp_path / "none", "--out", out)
    assert failed.stderr.startswith("error: The query log must be a folder")


def report_of(run: Run, query_log: Path, folder: Path, *options: object) -> str:
    out = folder / "other.html"
    run("monitor", "report", "--query-log", query_log, "--out", out, *options)
    return out.read_text(encoding="utf-8")


def test_pairs_are_made_of_feedback(run: Run, query_log: Path, documents_path: Path, tmp_path: Path) -> None:
    asked = ("monitor", "pairs", "--query-log", query_log, "--documents", documents_path, "--evaluation-share", 0)
    values = json.loads(run(*asked, "--out", tmp_path / "made", "--json").stdout)
    assert values["impressions"] == 40
    assert values["propensities"] == pytest.approx([1.0, 0.5], abs=0.01)
    assert values["train"] == {"queries": 1, "positives": 1}
    assert (tmp_path / "made" / "qrels" / "train.tsv").read_text().splitlines()[1:] == ["q0\tdog\t0", "q0\tcat\t2"]
    assert '"query": "Cat?", "positive": "the cat sleeps"' in (tmp_path / "made" / "pairs.jsonl").read_text()
    again = run(*asked, "--out", tmp_path / "made")
    assert again.stderr.startswith("error: --out must be a new or an empty folder.")
    wrong = run(*asked, "--out", tmp_path / "other", "--propensity", "randomized")
    assert "Shuffle the hits of a share of the queries" in wrong.stderr
    assert not (tmp_path / "other").exists()
    power = run(*asked, "--out", tmp_path / "other", "--propensity", "power", "--eta", 0)
    assert "1.0000, 1.0000" in power.stdout


def test_a_dashboard_and_alerts_are_written(run: Run, tmp_path: Path) -> None:
    result = run("monitor", "dashboard", "--out", tmp_path / "made", "--p99-ms", 80, "--json")
    assert [Path(file).name for file in json.loads(result.stdout)["files"]] == [
        *("grafana-dashboard.json", "alerts.yml", "alerts-test.yml")
    ]
    assert "/ 1000 > 80\n" in (tmp_path / "made" / "alerts.yml").read_text()
    failed = run("monitor", "dashboard", "--out", tmp_path / "made")
    assert "is there, and differs. Nothing was written. Use --force" in failed.stderr
    assert run("monitor", "dashboard", "--out", tmp_path / "made", "--force").exit_code == 0
