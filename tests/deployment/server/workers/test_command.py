"""The command line of a worker."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from tfchain.deployment.server.flags import check_supported, parse_flags
from tfchain.deployment.server.main import _to_options
from tfchain.deployment.server.workers.command import make_worker_command, share_cores

PORTS: Any = SimpleNamespace(grpc_port=9000, rest_port=9001)


def test_a_worker_gets_the_flags_the_ports_in_use_and_its_channel() -> None:
    flags = parse_flags(
        [
            *("--model_name=a b", "--model_base_path=--odd", "--port=0", "--choose_ports", "--workers=3"),
            *("--ready_fd=5", "--parent_fd=6", "--parent_pid=7", "--enable_model_warmup=false", "--bogus"),
        ]
    )
    command = make_worker_command("tfchain.program", flags, PORTS, 11)(12)
    assert command[1:4] == ["-P", "-m", "tfchain.program"]
    found = parse_flags(command[4:])
    assert found.unknown == []
    check_supported(found)
    assert (found.text("model_name"), found.text("model_base_path")) == ("a b", "--odd")
    assert (found.number("port"), found.number("rest_api_port"), found.is_on("choose_ports")) == (9000, 9001, False)
    assert (found.number("ready_fd"), found.number("parent_fd"), found.number("worker_fd")) == (-1, 11, 12)
    assert found.number("parent_pid") == os.getpid()
    assert not found.is_on("enable_model_warmup")


def test_a_worker_without_rest_opens_no_rest_port() -> None:
    ports: Any = SimpleNamespace(grpc_port=1, rest_port=None)
    command = make_worker_command("tfchain.program", parse_flags([]), ports, 3)(4)
    assert parse_flags(command[4:]).number("rest_api_port") == 0


@pytest.mark.parametrize(("num_workers", "num_cores", "share"), [(4, 16, 4), (3, 16, 5), (1, 2, 2), (4, 2, 1)])
def test_workers_share_the_cores_and_each_has_at_least_one(num_workers: int, num_cores: int, share: int) -> None:
    assert share_cores(num_workers, num_cores) == share


@pytest.mark.parametrize(
    ("arguments", "num_threads"),
    [
        ([], 0),
        (["--engine=auto"], 0),
        (["--engine=litert", "--num_tflite_pools=2"], 0),
        (["--engine=auto", "--tensorflow_intra_op_parallelism=9"], 9),
        (["--tensorflow_session_parallelism=9"], 9),
    ],
)
def test_each_engine_of_a_worker_has_its_whole_share_and_flags_of_threads_stay_as_they_are(
    arguments: list[str], num_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    flags = parse_flags(["--model_base_path=/models", "--workers=2", *arguments])
    found = parse_flags(make_worker_command("tfchain.program", flags, PORTS, 11)(12)[4:])
    load = _to_options(found).load
    assert (load.num_cores, load.intra_op_threads) == (8, num_threads)
    assert load.tflite_interpreters == flags.number("num_tflite_pools")
