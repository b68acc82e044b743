"""`tfchain monitor reference`, `canary` and `drift`: a version is compared with itself, and with other queries."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.search_server import serve_http
from tfchain.core.observation import Observation
from tfchain.deployment.server.http.rest import RestApi
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.servables.saved_model import LoadOptions, load_saved_model
from tfchain.monitoring.canaries.canary import read_canaries
from tfchain.monitoring.drift.reference import read_reference
from tfchain.monitoring.log.query_log import QueryLog, QueryLogOptions
from tfchain.runtime.tf_text import load_tf_text

CATS = ["the cat sleeps", "a cat runs", "what does the cat do", "does the cat sleep", "who runs"]
STOCKS = ["stocks fell", "stock on monday", "monday stocks", "on monday stocks fell", "stocks"]


@pytest.fixture(scope="module")
def watched(run: Run, version_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the version, with a reference of queries about cats."""
    folder = tmp_path_factory.mktemp("watched")
    version = Path(shutil.copytree(version_path, folder / "docs" / "1"))
    (folder / "cats.txt").write_text("\n".join(CATS * 8))
    result = run(
        *("monitor", "reference", version, "--queries", folder / "cats.txt"),
        *("--window", 20, "--stride", 20, "--horizon", 200, "--engine", "tensorflow", "--json"),
    )
    assert result.exit_code == 0, result.stderr
    described = json.loads(result.stdout)
    assert (described["queries"], described["canaries"]) == (40, 20)
    return version


@pytest.fixture(scope="module")
def url(watched: Path) -> Iterator[str]:
    """The version, served over REST."""
    load_tf_text()
    manager = Manager(lambda _name, _version, path: load_saved_model(path, LoadOptions()), max_retries=0)
    manager.set_wanted("docs", {1: watched})
    try:
        manager.wait_until_loaded(["docs"], 60)
        with serve_http(Router(RestApi(manager).answer)) as address:
            yield address
    finally:
        manager.close()


def test_an_export_writes_a_reference_and_canaries_with_the_versions_answers(version_path: Path) -> None:
    reference, canaries = read_reference(version_path), read_canaries(version_path)

    assert reference.queries is not None
    assert (len(reference.queries), reference.queries.dim) == (30, 16)
    assert set(reference.queries.thresholds) == {"vectors", "length", "score", "unknown"}
    assert (len(reference.fingerprint), len(canaries)) == (64, 20)
    assert (canaries[0].text, len(canaries[0].ids), len(canaries[0].scores)) == ("the cat sleeps", 2, 2)
    assert canaries[0].ids[0] == "cat"


def test_a_reference_is_in_the_version(watched: Path) -> None:
    reference = read_reference(watched)

    assert reference.queries is not None
    assert (len(reference.queries), reference.queries.origin) == (40, "queries")
    assert set(reference.queries.thresholds) == {"vectors", "length", "score", "unknown"}
    assert (reference.config.window, len(reference.fingerprint)) == (20, 64)
    assert len(read_canaries(watched)) == 20
    assert read_canaries(watched)[0].ids


def test_the_version_passes_its_own_canaries(run: Run, url: str, watched: Path, tmp_path: Path) -> None:
    gauges = tmp_path / "canaries.prom"

    result = run(
        *("monitor", "canary", url, "--canaries", watched, "--every", 0.1, "--times", 2, "--json"),
        *("--metrics-file", gauges),
    )

    assert result.exit_code == 0, result.stderr
    reports = list(map(json.loads, result.stdout.splitlines()))
    assert [(report["is_good"], report["recall"], report["canaries"]) for report in reports] == [(True, 1.0, 20)] * 2
    assert 'tfchain_canary_recall{model="docs"} 1\n' in gauges.read_text()


def test_a_missing_answer_is_said_and_is_exit_code_3(run: Run, url: str, tmp_path: Path) -> None:
    (tmp_path / "known.jsonl").write_text('{"text": "the cat sleeps", "ids": ["cat", "gone"]}\n')

    result = run("monitor", "canary", url, "--canaries", tmp_path / "known.jsonl", "--model", "docs")

    assert result.exit_code == 3
    assert "WRONG  1 canaries  recall 0.5000" in result.stdout
    assert "recall: Expected answers are missing: 'the cat sleeps'." in result.stdout


def test_a_server_that_is_not_there_is_one_error(run: Run, watched: Path) -> None:
    result = run("monitor", "canary", "http://127.0.0.1:9", "--canaries", watched)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: The server at http://127.0.0.1:9 cannot be reached")


def test_the_same_queries_do_not_drift_and_others_do(run: Run, watched: Path, tmp_path: Path) -> None:
    same, other = tmp_path / "same.txt", tmp_path / "other.txt"
    same.write_text("\n".join(reversed(CATS * 12)))
    other.write_text("\n".join(CATS * 4 + STOCKS * 8))

    quiet = run("monitor", "drift", "--reference", watched, "--queries", same, "--engine", "tensorflow")
    raised = run("monitor", "drift", "--reference", watched, "--queries", other, "--engine", "tensorflow")

    assert (quiet.exit_code, quiet.stdout.splitlines()[0]) == (0, "queries: no drift (60 of them, looks with drift: 0)")
    assert (raised.exit_code, raised.stdout.splitlines()[0]) == (
        3,
        "queries: drift since 40 (60 of them, looks with drift: 2)",
    )
    assert any("stock" in line for line in raised.stdout.splitlines() if line.startswith("    "))


def test_a_query_log_is_read(run: Run, watched: Path, tmp_path: Path) -> None:
    with QueryLog(QueryLogOptions(tmp_path / "log"), mask=lambda text: text) as log:
        for number, text in enumerate(STOCKS * 6):
            log.observe(Observation(1e9 - number, "docs", 1, "search", f"q{number}", text))  # a clock that goes back

    result = run(
        *("monitor", "drift", "--reference", watched, "--query-log", tmp_path / "log", "--engine", "tensorflow"),
        *("--json", "--metrics-file", tmp_path / "drift.prom"),
    )

    report = json.loads(result.stdout)
    assert (result.exit_code, report["causes"], report["drift_at"]["queries"]) == (3, ["queries"], [20])
    assert report["queries"]["newcomers"]["clusters"][0]["examples"]
    assert 'tfchain_drift{stream="queries"} 1\n' in (tmp_path / "drift.prom").read_text()


def test_another_model_is_told_from_other_queries(run: Run, watched: Path, tmp_path: Path) -> None:
    version = Path(shutil.copytree(watched, tmp_path / "1"))
    wrong = [
        {**canary.to_dict(), "vector": [-number for number in canary.vector.tolist()]}
        for canary in read_canaries(version)
    ]
    (version / "assets.extra" / "canaries.jsonl").write_text("".join(f"{json.dumps(values)}\n" for values in wrong))
    (tmp_path / "other.txt").write_text("\n".join(STOCKS * 8))

    result = run(
        *("monitor", "drift", "--reference", version, "--queries", tmp_path / "other.txt", "--engine", "tensorflow")
    )

    assert result.exit_code == 3
    assert result.stdout.startswith("model: it gives other vectors than when the reference was made")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reference", "{version}"), "A reference needs --queries or --documents. Received: neither."),
        (("reference", "{version}", "--queries", "{tmp}/no.txt"), "no.txt, which is not there."),
        (("reference", "{tmp}", "--queries", "{tmp}/few.txt"), "which has no saved_model.pb."),
        (("reference", "{version}", "--queries", "{tmp}/few.txt", "--stride", "7"), "`window` must be a multiple"),
        (("drift", "--reference", "{version}"), "Drift needs --query-log, --queries or --documents."),
        (("drift", "--reference", "{tmp}", "--queries", "{tmp}/few.txt"), "There is no reference of queries"),
        (("drift", "--reference", "{version}", "--queries", "{tmp}/few.txt"), "looked for in 20 queries at a time."),
        (("drift", "--reference", "{version}", "--documents", "{tmp}/few.txt"), "has no documents. Make it again"),
        (("drift", "--reference", "{version}", "--queries", "{tmp}/bad.jsonl"), "bad.jsonl, line 1: not JSON"),
        (("drift", "--reference", "{version}", "--queries", "{tmp}/bad.csv"), "bad.csv, line 2: expected `text`"),
        (("canary", "http://127.0.0.1:9", "--canaries", "{tmp}/few.txt"), "line 1: a canary cannot be read"),
        (("canary", "http://127.0.0.1:9", "--canaries", "{tmp}/k.jsonl"), "`--model` must be the model's name"),
        (("canary", "127.0.0.1:9", "--canaries", "{version}"), "must be like http://127.0.0.1:8501 or grpc://"),
    ],
)
def test_bad_input_is_one_error(
    run: Run, watched: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "few.txt").write_text("the cat\n")
    (tmp_path / "bad.jsonl").write_text("{\n")
    (tmp_path / "bad.csv").write_text("words\nthe cat\n")
    (tmp_path / "k.jsonl").write_text('{"text": "a"}\n')

    result = run("monitor", *(argument.format(version=watched, tmp=tmp_path) for argument in arguments))

    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr
