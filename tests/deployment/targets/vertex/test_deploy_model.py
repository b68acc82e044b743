"""The script of the target vertex: what it sends, in which order, and how it splits requests."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from tfchain.deployment.targets.vertex import deploy_model

ENDPOINT = "projects/p/locations/r/endpoints/7"


class Message(dict[str, Any]):
    """A message of Google's package, as a dictionary: enough for the script."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__

    @classmethod
    def from_json(cls, text: str) -> "Message":
        fields = json.loads(text)
        return cls(fields, display_name=fields.get("displayName"))


class Clients:
    """Both clients: they note the requests, and answer as the service does."""

    def __init__(self, live: dict[str, int], models: list[tuple[str, int]]) -> None:
        deployed = [Message(id=name, create_time=time, display_name=f"docs-{name}") for name, time in models]
        self.endpoint = Message(name=ENDPOINT, traffic_split=live, deployed_models=deployed)
        self.requests: list[tuple[str, Any]] = []

    def __call__(self, *, client_options: dict[str, str]) -> "Clients":
        assert client_options == {"api_endpoint": "r-aiplatform.googleapis.com"}
        return self

    def __getattr__(self, name: str) -> Any:
        def send(*, request: dict[str, Any]) -> Any:
            self.requests.append((name, request))
            answers = {"upload_model": Message(model="projects/p/locations/r/models/5"), "get_endpoint": self.endpoint}
            answer = answers.get(name, self.endpoint)
            return answer if name in ("get_endpoint", "update_endpoint") else Message(result=lambda timeout: answer)

        return send


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clients: Clients, *arguments: str) -> list[tuple[str, Any]]:
    for name in ("model", "endpoint", "deployment"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"displayName": f"docs-{name}"}))
    package = types.ModuleType("google.cloud.aiplatform_v1")
    package.ModelServiceClient = package.EndpointServiceClient = clients  # type: ignore[attr-defined]
    package.Model = package.Endpoint = package.DeployedModel = Message  # type: ignore[attr-defined]
    cloud = types.ModuleType("google.cloud")
    cloud.aiplatform_v1 = package  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google.cloud", cloud)
    monkeypatch.setitem(sys.modules, "google.cloud.aiplatform_v1", package)
    monkeypatch.setattr(deploy_model, "HERE", tmp_path)
    deploy_model.main(["--project", "p", "--region", "r", *arguments])
    return clients.requests


def test_a_first_deployment_makes_an_endpoint_that_sends_all_to_the_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requests = run(monkeypatch, tmp_path, Clients({}, []))

    assert [name for name, _ in requests] == ["upload_model", "create_endpoint", "get_endpoint", "deploy_model"]
    assert requests[0][1]["parent"] == "projects/p/locations/r"
    deployed = requests[-1][1]
    assert deployed["endpoint"] == ENDPOINT
    assert deployed["deployed_model"]["model"] == "projects/p/locations/r/models/5"
    assert deployed["traffic_split"] == {"0": 100}


def test_a_canary_takes_its_share_from_what_is_live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clients = Clients({"11": 100, "10": 0}, [("10", 1), ("11", 2)])
    requests = run(monkeypatch, tmp_path, clients, "--endpoint", "7", "--percent", "10")

    assert [name for name, _ in requests] == ["upload_model", "get_endpoint", "deploy_model"]
    assert requests[-1][1]["traffic_split"] == {"11": 90, "0": 10}


@pytest.mark.parametrize(("flag", "chosen"), [("--promote", "12"), ("--roll-back", "11")])
def test_promoting_and_rolling_back_move_the_requests_alone(
    flag: str, chosen: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clients = Clients({"11": 90, "12": 10}, [("12", 3), ("10", 1), ("11", 2)])
    requests = run(monkeypatch, tmp_path, clients, "--endpoint", ENDPOINT, flag)

    assert [name for name, _ in requests] == ["get_endpoint", "update_endpoint"]
    assert requests[-1][1]["endpoint"]["traffic_split"] == {chosen: 100}
    assert requests[-1][1]["update_mask"] == {"paths": ["traffic_split"]}


def test_nothing_to_roll_back_to_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no model to roll back to"):
        run(monkeypatch, tmp_path, Clients({"10": 100}, [("10", 1)]), "--endpoint", "7", "--roll-back")


def test_shares_are_whole_and_sum_to_a_hundred() -> None:
    assert deploy_model.split({"a": 34, "b": 33, "c": 33}, 10) == {"a": 32, "b": 29, "c": 29, "0": 10}
    assert deploy_model.split({"a": 100}, 100) == {"0": 100}
    assert deploy_model.split({}, 10) == {"0": 100}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--percent", "101"], "--percent must be from 0 to 100"),
        (["--promote"], "need --endpoint"),
        (["--promote", "--roll-back", "--endpoint", "7"], "not both"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        deploy_model.main(["--project", "p", "--region", "r", *arguments])

    assert words in capsys.readouterr().err
