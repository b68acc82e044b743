"""The command line of a server in a container: flags that the server knows, and no others."""

import pytest

from tfchain.deployment.server.flags import parse_flags
from tfchain.deployment.targets.server_command import SERVERS, ServerCommand, status_path


@pytest.mark.parametrize("server", SERVERS)
def test_the_flags_are_known_and_mean_what_was_asked(server: str) -> None:
    command = ServerCommand(
        *(server, "docs", "/models/docs", 3),
        monitoring_file="/etc/m.pbtxt",
        batching_file="/etc/b.pbtxt",
        api_key_file="/etc/keys",
    )
    flags = parse_flags(command.arguments())

    assert flags.unknown == []
    assert (flags.text("model_name"), flags.text("model_base_path")) == ("docs", "/models/docs")
    assert (flags.number("port"), flags.number("rest_api_port")) == (8500, 8501)
    assert flags.number("tensorflow_intra_op_parallelism") == 3
    assert flags.is_on("enable_batching")
    assert flags.text("batching_parameters_file") == "/etc/b.pbtxt"


def test_each_server_gets_its_own_flags_alone() -> None:
    files = {"monitoring_file": "/etc/m.pbtxt", "api_key_file": "/etc/keys"}
    stock = ServerCommand("stock", "docs", "/models/docs", 1, **files)
    own = ServerCommand("own", "docs", "/models/docs", 1, engine="native", **files)

    assert stock.program == "/usr/bin/tensorflow_model_server"
    assert "--monitoring_config_file=/etc/m.pbtxt" in stock.arguments()
    assert not any(flag.startswith(("--engine", "--api_key")) for flag in stock.arguments())
    assert own.program == "tfchain-model-server"
    assert {"--engine=native", "--api_key_file=/etc/keys"} <= set(own.arguments())
    assert not any(flag.startswith("--monitoring") for flag in own.arguments())


def test_the_status_is_at_the_models_name() -> None:
    assert status_path("docs") == "/v1/models/docs"
    assert status_path("docs v1", 3) == "/v1/models/docs%20v1/versions/3"
