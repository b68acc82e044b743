"""Options and files with which a server cannot start."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "must have a `base_path` or a `config_file`"),
        ({"base_path": Path("/b"), "num_load_threads": -1}, "`num_load_threads` must be at least 0. Received: "),
        ({"base_path": Path("/b"), "poll_seconds": -1}, "`file_system_poll_wait_seconds` must be at least 0"),
    ],
)
def test_a_server_that_could_never_serve_does_not_wait(options: dict[str, Any], error: str) -> None:
    with pytest.raises(InputError, match=error):
        ModelServer(ServerOptions(grpc_port=None, **options)).check()


def test_a_wrong_file_ends_the_program_with_255(tmp_path: Path) -> None:
    (tmp_path / "models.config").write_text("model_config_list { config { nme: 'm' } }")
    program = [sys.executable, "-m", "tfchain.deployment.server.main", "--port=0", "--choose_ports"]
    done = subprocess.run(
        [*program, f"--model_config_file={tmp_path / 'models.config'}"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 255
    assert done.stderr.endswith(
        "error: Failed to start server. Error: INVALID_ARGUMENT: Invalid protobuf file: "
        f"'{tmp_path / 'models.config'}' (Error parsing text-format tensorflow.serving.ModelServerConfig: 1:30 : "
        'Message type "tensorflow.serving.ModelConfig" has no field named "nme".)\n'
    )
