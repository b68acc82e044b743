"""`tfchain deploy`: dry runs, refusals, and the command lines of compose and systemd, really run."""

import contextlib
import http.client
import json
import os
import select
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Run
from tests.deployment.targets.measurements import make_measurement
from tests.deployment.targets.small_versions import write_small_version
from tfchain.chains.model_server import PROGRAM
from tfchain.cli import deploy
from tfchain.deployment.capacity.batch_settings import BatchSettings
from tfchain.runtime.child_process import make_python_command

START_SECONDS = 300  # a loaded machine; the start takes six of an idle one


@contextlib.contextmanager
def serve(arguments: list[str], log: Path) -> Iterator[dict[str, int]]:
    """Runs tfchain's server with a target's arguments, on ports that the system chooses; gives the ports."""
    free = [argument for argument in arguments if not argument.startswith(("--port=", "--rest_api_port="))]
    ready, ready_end = os.pipe()
    command = [*make_python_command("-m", PROGRAM), *free, "--choose_ports", "--port=0", "--rest_api_port=0"]
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [*command, "--host=127.0.0.1", f"--ready_fd={ready_end}"], stdout=file, stderr=file, pass_fds=(ready_end,)
        )
    os.close(ready_end)
    try:
        assert select.select([ready], [], [], START_SECONDS)[0], log.read_text()
        with open(ready, "rb") as pipe:
            report = pipe.read()
        assert report, log.read_text()
        yield json.loads(report)
    finally:
        process.terminate()
        process.wait(30)


def ask(port: int, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def read_compose_command(folder: Path) -> list[str]:
    """The command of the compose file's service, with the container's paths in the folder."""
    (service,) = yaml.safe_load((folder / "compose.yaml").read_text())["services"].values()
    places = {"=/models/": f"={folder}/models/", "=/config/": f"={folder}/config/", "=/run/secrets/": f"={folder}/"}
    return [replace_all(word, places) for word in service["command"]]


def read_unit_command(unit: Path, folder: Path) -> list[str]:
    """The arguments of the unit's ExecStart, with the machine's paths in the folder."""
    text = unit.read_text().replace("\\\n", " ")
    (line,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
    _, *arguments = shlex.split(line.removeprefix("ExecStart="))
    models = "=/var/lib/tfchain-models/"
    return [replace_all(word, {f"{models}docs.": f"={folder}/", models: f"={folder}/models/"}) for word in arguments]


def replace_all(word: str, places: dict[str, str]) -> str:
    for old, new in places.items():
        word = word.replace(old, new)
    return word


def test_the_command_lines_of_compose_and_systemd_answer(
    run: Run, version_path: Path, tmp_path: Path, forks: None
) -> None:
    for target, settings in (("docker", ["--set", "server=own", "--set", "api_keys=true"]), ("systemd", [])):
        done = run("deploy", version_path, "--target", target, *settings, "--out", tmp_path / target)
        assert done.exit_code == 0, done.stderr
    (tmp_path / "docker" / "api_keys").write_text("secret\n")
    asked = {"instances": ["the cat sleeps"]}
    url = "/v1/models/docs"

    compose = read_compose_command(tmp_path / "docker")
    unit = read_unit_command(tmp_path / "systemd" / "tfchain-docs.service", tmp_path / "systemd")
    with serve(compose, tmp_path / "compose.log") as ports:
        assert ask(ports["rest_port"], "GET", "/ready")[0] == 200  # what the health check asks
        assert ask(ports["rest_port"], "POST", f"{url}:predict", asked)[0] == 401
        status, answer = ask(ports["rest_port"], "POST", f"{url}:predict", asked, key="secret")
    assert (status, json.loads(answer)["predictions"][0]["ids"][0]) == (200, "cat")
    with serve(unit, tmp_path / "unit.log") as ports:
        status, answer = ask(ports["rest_port"], "POST", f"{url}:predict", asked)
        metrics = ask(ports["rest_port"], "GET", "/monitoring/prometheus/metrics")
    assert (status, json.loads(answer)["predictions"][0]["ids"][0]) == (200, "cat")
    assert metrics[0] == 200
    assert b":tensorflow:serving:request_count" in metrics[1]


def test_a_dry_run_prints_the_files_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    version = write_small_version(tmp_path / "docs" / "1")
    done = run("deploy", version, "--target", "systemd", "--dry-run", "--set", "rest_port=9000")

    assert done.exit_code == 0
    assert "--- tfchain-docs.service\n" in done.stdout
    assert "--rest_api_port=9000" in done.stdout
    assert f"(copied from {version})" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_programs_are_told_what_was_written(run: Run, tmp_path: Path) -> None:
    version = write_small_version(tmp_path / "docs" / "1")
    done = run("deploy", version, "--target", "docker", "--out", tmp_path / "out", "--name", "papers", "--json")
    told = json.loads(done.stdout)

    assert (told["target"], told["out"]) == ("docker", str(tmp_path / "out"))
    assert {"Dockerfile", "compose.yaml", "models/papers/1"} <= set(told["files"])


def test_nothing_is_written_over_without_force(run: Run, tmp_path: Path) -> None:
    version = write_small_version(tmp_path / "docs" / "1")
    command = ("deploy", version, "--target", "docker", "--out", tmp_path / "out")

    assert run(*command).exit_code == 0
    again = run(*command)
    assert again.exit_code == 1
    assert "holds the files of a target already" in again.stderr
    assert run(*command, "--force").exit_code == 0


def test_the_targets_and_their_options_are_listed(run: Run) -> None:
    shown = run("deploy", "--list-targets").stdout

    assert "docker: " in shown
    assert "systemd: " in shown
    assert "--set server=…" in shown
    assert "server" in json.loads(run("deploy", "--list-targets", "--json").stdout)["docker"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing VERSION."),
        (["VERSION"], 2, "Missing --target."),
        (["VERSION", "--target", "docker"], 2, "Missing --out or --dry-run."),
        (["VERSION", "--target", "docker", "--set", "server", "--dry-run"], 2, "--set takes NAME=VALUE"),
        (["VERSION", "--target", "dokcer", "--dry-run"], 1, "`target` must be one of"),
        (["VERSION", "--target", "docker", "--set", "sever=own", "--dry-run"], 1, "Did you mean 'server'?"),
        (["VERSION/..", "--target", "docker", "--dry-run"], 1, "a base path of versions. Name one of them"),
    ],
)
def test_a_wrong_command_line_is_one_clear_error(
    run: Run, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    version = write_small_version(tmp_path / "docs" / "1")
    done = run("deploy", *(word.replace("VERSION", str(version)) for word in arguments))
    assert done.exit_code == code
    assert message in done.stderr


def test_a_version_that_was_not_measured_is_measured_when_asked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def measure(path: Path, **options: Any) -> Any:
        asked.update(path=path, **options)
        return make_measurement()

    monkeypatch.setattr("tfchain.deployment.capacity.measure.measure_version", measure)
    batching = BatchSettings(8, 0, 1, 4, (1, 2, 4, 8), 100.0)
    monkeypatch.setattr("tfchain.deployment.targets.measured.find_batching", lambda *_: batching)
    version = write_small_version(tmp_path / "docs" / "1")
    command = ("deploy", version, "--target", "docker", "--out", tmp_path / "out", "--measure", "--force")
    assert run(*command).exit_code == 0
    assert (asked["path"], asked["program"], asked["engine"]) == (version, PROGRAM, "tensorflow")
    assert (tmp_path / "out" / "config" / "batching.config").is_file()
    asked.clear()
    assert run(*command).exit_code == 0
    assert not asked  # it has been measured


def test_what_a_target_cannot_run_is_refused_before_it_is_measured(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "measure_here", lambda *_: pytest.fail("it was measured"))
    version = write_small_version(tmp_path / "Docs" / "1")

    result = run("deploy", version, "--target", "docker", "--out", tmp_path / "out", "--measure")

    assert result.exit_code == 1
    assert "Docker takes names of lower-case letters" in result.stderr
