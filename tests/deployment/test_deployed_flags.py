"""The server's flags that `deploy` takes as they are."""

import inspect
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.deploy import deploy
from tfchain.deployment.deployed_flags import list_free_flags, to_arguments
from tfchain.deployment.server.flags import FLAGS, USED

ITSELF = {"deploy", "the supervisor of workers", "nothing: it ends the program"}


def test_flags_become_a_command_line_after_the_defaults_of_deploy() -> None:
    defaults = ["--max_num_load_retries=0", "--enable_grpc_healthcheck_service=true"]
    assert to_arguments(None) == to_arguments({}) == defaults
    assert to_arguments({"max_connections": 5, "enable_batching": True}) == [
        *defaults,
        "--max_connections=5",
        "--enable_batching=true",
    ]
    assert to_arguments({"max_num_load_retries": 2})[0] == "--max_num_load_retries=2"


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        ({"max_conections": 5}, "The server has no flag 'max_conections'. Did you mean 'max_connections'?"),
        ({"": 5}, "The server has no flag ''. `tfchain-model-server --help` lists its flags."),
        (
            {"max_connections": True},
            "The flag --max_connections must be a whole number. Received: --max_connections=true.",
        ),
        ({"enable_batching": "x"}, "The flag --enable_batching must be true or false. Received: --enable_batching=x."),
        (
            {"port": 1},
            "`flags` cannot have 'port', which is set by: grpc_port. Received: flags={'port': 1}. Leave it out.",
        ),
        (
            ["--port=1"],
            "`flags` must map the names of the server's flags to values. Received: flags=['--port=1']. Pass",
        ),
    ],
)
def test_a_wrong_flag_is_named_before_anything_starts(flags: Any, error: str) -> None:
    with pytest.raises(InputError) as caught:
        deploy("nowhere", model_name="m", flags=flags)
    assert str(caught.value).startswith(error)


def test_every_flag_is_taken_as_it_is_or_says_what_sets_it() -> None:
    arguments = inspect.signature(deploy).parameters
    assert {flag.set_by for flag in FLAGS} - set(arguments) == {"", *ITSELF}
    named = [flag.name for flag in list_free_flags()]
    assert named == [flag.name for flag in FLAGS if flag.support == USED and not flag.set_by]
    assert {"max_connections", "max_concurrent_requests", "max_request_rows", "max_body_bytes"} <= set(named)
