"""`tfchain promote --watch`: canary queries are put to the server, and a bad answer rolls the canary back."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary_server import DOCUMENTS, WRONG, CanaryServer, serve_releases, write_words
from tests.cli.conftest import Run
from tests.deployment.releases.versions import make_version
from tfchain.deployment.release_state import read_state
from tfchain.deployment.releases.switch import promote, rollback, start_canary
from tfchain.monitoring.canaries.canary import CanaryQuery, write_canaries

KNOWN = '{"text": "the cat sleeps", "ids": ["cat"]}\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CanaryServer]:
    """The versions 1, live, and 2, whose ids are another index's; both are loaded."""
    base_path = tmp_path_factory.mktemp("words") / "docs"
    write_words(base_path, 1, DOCUMENTS)
    write_words(base_path, 2, WRONG)
    promote(base_path, 1, needs_blessing=False)
    start_canary(base_path, 2, needs_blessing=False)
    with serve_releases(base_path) as running:
        rollback(base_path)
        yield running


def watch(run: Run, server: CanaryServer, *options: object) -> dict:
    end = threading.Timer(20, rollback, [server.base_path])  # a watch that decides nothing ends, too
    end.start()
    try:
        result = run(
            *("promote", server.base_path, 2, "--canary", 10, "--without-blessing", "--watch", server.url),
            *("--hold-seconds", 0, "--json", *options),
        )
    finally:
        end.cancel()
    assert result.exit_code == 3, result.output
    found: dict = json.loads(result.stdout)
    assert (found["live"], found["canary"], found["decision"]) == (1, None, "roll back")
    return found


def test_a_canary_that_fails_the_queries_of_a_file_is_rolled_back(
    run: Run, server: CanaryServer, tmp_path: Path
) -> None:
    (tmp_path / "known.jsonl").write_text(KNOWN)
    watch(run, server, "--canaries", tmp_path / "known.jsonl", "--min-recall", 0.5)
    assert read_state(server.base_path).history[-1].reason == "the canary queries' recall is 0.000, below 0.5"


def test_a_canary_that_fails_its_own_queries_is_rolled_back(run: Run, server: CanaryServer) -> None:
    file = write_canaries(server.base_path / "2", [CanaryQuery("the cat sleeps", ("cat",))])
    try:
        watch(run, server)
    finally:
        file.unlink()
    assert read_state(server.base_path).history[-1].reason == "the canary queries' recall is 0.000, below 0.95"


def test_wrong_options_are_one_line_and_start_no_canary(run: Run, tmp_path: Path) -> None:
    base_path = tmp_path / "docs"
    for number in (1, 2):
        make_version(base_path, number)
    (tmp_path / "known.jsonl").write_text(KNOWN)
    (tmp_path / "broken.jsonl").write_text(KNOWN + '{"text": 5}\n')
    watched = ("--canary", 10, "--watch", "http://127.0.0.1:9")
    for options, message in (
        (("--canary", 10, "--canaries", tmp_path / "known.jsonl"), "--canaries belongs to --watch. Received: --canar"),
        (("--canary", 10, "--min-recall", 0.5), "--min-recall belongs to --watch. Received: --min-recall 0.5 without"),
        (("--watch", "http://127.0.0.1:9"), "--watch belongs to --canary. Received: --watch http://127.0.0.1:9"),
        ((*watched, "--canaries", tmp_path / "gone.jsonl"), "There are no canary queries at"),
        ((*watched, "--canaries", tmp_path / "broken.jsonl"), f"{tmp_path}/broken.jsonl, line 2: a canary cannot be r"),
        ((*watched, "--min-recall", 0.5), "--min-recall needs canary queries. Received: version 2 without any."),
        (
            (*watched, "--canaries", tmp_path / "known.jsonl", "--min-recall", 2),
            "`min_recall` must be from 0 to 1. Received: min_recall=2.0.",
        ),
        ((*watched, "--hold-seconds", -1), "`hold_seconds` must be from 0 to inf. Received: hold_seconds=-1.0."),
    ):
        result = run("promote", base_path, 2, *options)
        assert result.exit_code == 1, options
        assert result.stderr.startswith(f"error: {message}"), result.stderr
        assert result.stderr.count("\n") == 1
    assert read_state(base_path).history == ()
