"""`deploy(target=…)`: what is checked before an export, and the folder that it returns."""

from pathlib import Path
from typing import Any

import pytest

from tests.deployment.targets.small_versions import write_small_version
from tfchain import NeuralSearchChain
from tfchain.chains.deploy_options import split_options
from tfchain.chains.target_request import request_target
from tfchain.core.errors import InputError


@pytest.fixture
def chain(thin_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NeuralSearchChain:
    """A chain whose export writes a small version and takes no time."""
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")

    def export(*_: Any, **__: Any) -> Path:
        (tmp_path / "exported").touch()
        return write_small_version(tmp_path / "saved" / "docs" / "1")

    monkeypatch.setattr(chain, "_export", export)
    return chain


def test_deploy_to_a_target_returns_its_folder(chain: NeuralSearchChain, tmp_path: Path) -> None:
    folder = chain.deploy(target="docker", out=tmp_path / "out", name="papers", target_options={"rest_port": 9001})

    assert folder == tmp_path / "out"
    assert "127.0.0.1:9001:8501" in (folder / "compose.yaml").read_text()
    assert (folder / "models" / "papers" / "1" / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "dokcer", "out": "OUT"}, "`target` must be one of docker, systemd"),
        ({"target": "docker"}, "`target` needs the folder to write"),
        ({"out": "OUT"}, "`out` is for a target. Received: .* without `target`"),
        ({"force": True}, "`force` is for a target"),
        ({"target": "docker", "out": "OUT", "engine": "native"}, "'native' cannot serve this chain"),
        ({"target": "docker", "out": "OUT", "rest_port": 1}, "`rest_port` is for a server on this machine"),
        ({"target": "docker", "out": "OUT", "target_options": {"serve": "own"}}, "has no option 'serve'"),
        ({"target": "docker", "out": "FULL"}, "which holds mine.txt"),
    ],
)
def test_a_wrong_argument_is_an_error_before_anything_is_exported(
    chain: NeuralSearchChain, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    places = {"OUT": tmp_path / "out", "FULL": tmp_path / "full"}
    if "out" in arguments:
        arguments = {**arguments, "out": places[arguments["out"]]}
    with pytest.raises(InputError, match=message):
        chain.deploy(**arguments)
    assert not (tmp_path / "exported").exists()
    assert not (tmp_path / "out").exists()


def test_without_a_target_the_server_here_is_meant() -> None:
    server, target = split_options({"port": 9000})
    assert request_target(None, server, **target) is None
    assert (server["port"], server["rest_port"], server["host"]) == (9000, 0, "127.0.0.1")


def test_an_unknown_name_is_pythons_own_error() -> None:
    with pytest.raises(TypeError, match=r"deploy\(\) got an unexpected keyword argument 'prot'. It takes host, port,"):
        split_options({"prot": 9000})
