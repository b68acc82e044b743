"""The command as a process of its own: a quiet standard error, exit codes, signals, and what survives them."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.cli.conftest import Run, logging_as_it_was
from tests.forked import ForkServer
from tfchain import Client
from tfchain.cli.process import CommandGroup, Failure, Interrupted, set_log_level
from tfchain.core.errors import InputError
from tfchain.deployment.client.client import RequestError
from tfchain.tasks.search.index_folder import load_index_folder

Process = subprocess.Popen[str]
PROGRAM = (sys.executable, "-c", "from tfchain.cli import main; main()")
NUM_DOCUMENTS = 400  # more than are indexed before a signal arrives
TIMEOUT_SECONDS = 120


def plain() -> dict[str, str]:
    """The environment of a user who has set nothing."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "TRANSFORMERS_"))}


@contextmanager
def start(*arguments: object) -> Iterator[Process]:
    """Starts a command."""
    with subprocess.Popen(
        [*PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=plain()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], bool], process: Process) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_commands_print_their_json_and_not_a_word_on_standard_error(saved_index: Path, tmp_path: Path) -> None:
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    (beir / "corpus.jsonl").write_text('{"_id": "a", "text": "who runs"}\n')
    (beir / "queries.jsonl").write_text('{"_id": "q", "text": "who"}\n')
    (beir / "qrels" / "test.tsv").write_text("q\ta\t1\n")
    asked = {
        "results": ("search", saved_index, "who runs"),
        "metrics": ("evaluate", saved_index, beir),
        "signatures": ("export", saved_index, "--out", tmp_path / "base"),
    }
    # One after the other in one process, which starts TensorFlow once; `index` has a test of its own below.
    runs = [[*map(str, words), "--engine", "tensorflow", "--json"] for words in asked.values()]
    program = (
        "import contextlib\n"
        "from tfchain.cli import commands, prepare_process\n"
        "prepare_process()\n"
        f"for words in {runs!r}:\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        commands.main(words)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=plain(), check=False)

    assert done.stderr == ""
    for key, line in zip(asked, done.stdout.splitlines(), strict=True):
        assert key in json.loads(line)


def write_many_documents(path: Path) -> Path:
    path.write_text("".join(f'{{"id": "{number}", "text": "the cat {number}"}}\n' for number in range(NUM_DOCUMENTS)))
    return path


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_stopped_index_keeps_its_commits_and_goes_on_from_there(
    number: signal.Signals,
    exit_code: int,
    run: Run,
    thin_model_path: Path,
    tmp_path: Path,
    fork_server: ForkServer,
) -> None:
    source, out = write_many_documents(tmp_path / "docs.jsonl"), tmp_path / "index"
    arguments = ("--model", thin_model_path, "--out", out, "--commit-every", 2, "--engine", "tensorflow")
    # What Ctrl-C finds on its way is a real process's; a kill is the same for all.
    place = nullcontext() if number == signal.SIGINT else fork_server.replaces_processes()
    with place, start("index", source, *arguments) as process:
        wait_for(lambda: (out / "chain.json").exists(), process)
        process.send_signal(number)
        shown, said = process.communicate(timeout=TIMEOUT_SECONDS)

    assert (process.returncode, shown) == (exit_code, "")
    kept = len(load_index_folder(out).index)
    assert 2 <= kept < NUM_DOCUMENTS
    if number == signal.SIGINT:  # and not a word more: neither a traceback nor TensorFlow's
        assert said == f"interrupted: {out} holds {kept} documents now; the same command resumes from there.\n"
    again = run("index", source, "--out", out, "--json")
    assert (again.exit_code, again.stderr) == (0, "")
    result = json.loads(again.stdout)
    assert (result["skipped"], result["added"], result["documents"]) == (kept, NUM_DOCUMENTS - kept, NUM_DOCUMENTS)


@pytest.mark.usefixtures("forks")
def test_serve_answers_until_it_is_told_to_stop(run: Run, version_path: Path, tmp_path: Path) -> None:
    base_path = version_path.parent
    with start("serve", base_path, "--port", 0, "--rest-port", 0) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(6)]
        assert lines[0] == f"serving docs from {base_path}; Ctrl-C stops it"
        url = lines[1].split()[-1]
        address = url.removesuffix("/v1/models/docs")

        # The line to paste works as it is.
        answer = subprocess.run(["bash", "-c", lines[5]], capture_output=True, text=True, timeout=30, check=False)
        assert len(json.loads(answer.stdout)["predictions"][0]["ids"]) == 2

        with Client(lines[2].split()[-1], address) as client:
            for protocol in ("rest", "grpc"):
                found = client.search("the cat sleeps", model="docs", protocol=protocol)
                assert found[0].hits[0].id == "cat"
                with pytest.raises(RequestError, match="nobody"):
                    client.search("the cat sleeps", model="nobody", protocol=protocol)
                with pytest.raises(RequestError, match="guess"):
                    client.predict({"text": ["a"]}, model="docs", signature="guess", protocol=protocol)

        port = address.rpartition(":")[2]
        second = run("serve", base_path, "--port", 0, "--rest-port", port)
        assert second.exit_code == 1
        assert second.stderr.startswith("error: The server did not start")
        assert port in second.stderr

        process.send_signal(signal.SIGTERM)
        shown, said = process.communicate(timeout=30)
        assert (process.returncode, shown, said) == (0, "stopped\n", "")
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", int(port)), timeout=5):
            pass


def test_a_reader_who_leaves_early_is_no_error() -> None:
    with start("info") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted: Existing files are unchanged.\n"),
        (InputError("Expected a number."), 1, "error: Expected a number.\n"),
        (
            FileNotFoundError(2, "No such file or directory", "gone.txt"),
            1,
            "error: No such file or directory: gone.txt\n",
        ),
        (OSError("the disk"), 1, "error: the disk\n"),
        (Interrupted("2 are saved."), 130, "interrupted: 2 are saved.\n"),
        (Failure("no"), 1, "error: no\n"),
    ],
)
def test_every_error_is_one_line_and_an_exit_code(error: BaseException, code: int, said: str) -> None:
    @click.group(cls=CommandGroup)
    def group() -> None: ...

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", said)


def test_a_second_command_in_one_process_says_everything_once(capsys: pytest.CaptureFixture[str]) -> None:
    context: Any = None
    with logging_as_it_was():
        for is_verbose in (True, False, True):
            set_log_level(context, context, is_verbose)
        logging.getLogger("tfchain.some.room").info("done")
        set_log_level(context, context, False)
        logging.getLogger("tfchain.some.room").info("not said")
        logging.getLogger("tfchain.some.room").warning("take care")
    assert capsys.readouterr().err == "info: done\nwarning: take care\n"
