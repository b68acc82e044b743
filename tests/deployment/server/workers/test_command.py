"""The command line of a worker."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from tfchain.deployment.server.flags import check_supported, parse_flags
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


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"tensorflow_intra_op_parallelism": 4}),
        (["--tensorflow_intra_op_parallelism=9"], {}),
        (["--tensorflow_session_parallelism=9"], {}),
        (["--prefer_tflite_model"], {"num_tflite_pools": 4, "tensorflow_intra_op_parallelism": 1}),
        (
            ["--prefer_tflite_model", "--num_tflite_pools=2"],
            {"num_tflite_pools": 2, "tensorflow_intra_op_parallelism": 2},
        ),
    ],
)
def test_workers_share_the_cores_unless_flags_say_otherwise(arguments: list[str], expected: dict[str, int]) -> None:
    assert share_cores(parse_flags(["--workers=4", *arguments]), 16) == expected


def test_there_is_a_thread_for_each_worker_however_many_there_are() -> None:
    assert share_cores(parse_flags(["--workers=4"]), 2) == {"tensorflow_intra_op_parallelism": 1}


@pytest.mark.parametrize("asked", ["--prefer_tflite_model", "--engine=litert", "--engine=auto"])
def test_workers_share_the_cores_for_litert_however_it_is_asked_for(asked: str) -> None:
    flags = parse_flags([asked, "--workers=4"])
    assert share_cores(flags, 16) == {"num_tflite_pools": 4, "tensorflow_intra_op_parallelism": 1}
