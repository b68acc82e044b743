"""Several models in one server: config files, policies, labels and reloads, as clients of both protocols see them."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.conformance.conftest import Reply, Wire
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.client.client import Client, RequestError
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions

FACTORS = {"a/1": 1.0, "a/2": 2.0, "b/1": 10.0, "moved/1": 7.0}  # what a version multiplies by


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base paths of models that multiply, an empty one, one with a broken version, and none called `gone`."""
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(0.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def multiply(self, x: Any) -> Any:
            return {"y": self.factor * x}

    made = tmp_path_factory.mktemp("several")
    module = Module()
    for place, factor in FACTORS.items():
        module.factor.assign(factor)
        tf.saved_model.save(module, str(made / place), signatures=module.multiply)
    (made / "empty").mkdir()
    (made / "bad" / "9").mkdir(parents=True)
    (made / "half" / "9").mkdir(parents=True)
    (made / "half" / "1").symlink_to(made / "a" / "1")
    return made


@dataclass(frozen=True)
class Several(Wire):
    """A server of several models, and ways to configure it."""

    folder: Path
    stub: Any

    def entry(self, name: str, *more: str, base_path: str = "") -> str:
        return entry(self.folder / (base_path or name), name, *more)

    def reload(self, *entries: str) -> Any:
        from google.protobuf import text_format
        from tensorflow_serving.apis import model_management_pb2

        request = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(f"model_config_list {{ {' '.join(entries)} }}", request.config)
        return self.stub.HandleReloadConfigRequest(request, timeout=30)

    def error(self, *entries: str) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.reload(*entries)
        return caught.value.code().name, caught.value.details()

    def multiply(self, place: str) -> Reply:
        """Asks for one times the factor, at a place such as `a`, `a/versions/1` or `a/labels/stable`."""
        return self.predict('{"instances": [1.0]}', f"/v1/models/{place}:predict")

    def factor(self, place: str) -> float:
        reply = self.multiply(place)
        assert reply.status == 200, reply.text
        return float(json.loads(reply.text)["predictions"][0])

    def states(self, name: str) -> dict[str, str]:
        entries = json.loads(self.http("GET", f"/v1/models/{name}").text)["model_version_status"]
        return {entry["version"]: entry["state"] for entry in entries}

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in 10 s"
            time.sleep(0.01)


def entry(base_path: Path, name: str, *more: str) -> str:
    return f'config {{ name: "{name}" base_path: "{base_path}" model_platform: "tensorflow" {" ".join(more)} }}'


def label(name: str, version: int) -> str:
    return f'version_labels {{ key: "{name}" value: {version} }}'


ALL = "model_version_policy { all {} }"


@contextlib.contextmanager
def serve(folder: Path, config_file: Path, *entries: str, **options: Any) -> Iterator[Several]:
    from tensorflow_serving.apis import model_service_pb2_grpc

    config_file.write_text(f"model_config_list {{ {' '.join(entries)} }}")
    ports: dict[str, Any] = {"host": "127.0.0.1", "grpc_port": 0, "rest_port": 0, "max_load_retries": 0}
    given = {"poll_seconds": 0, **ports, **options}
    with ModelServer(ServerOptions(config_file=config_file, **given)) as server:
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            yield Several(server, folder, model_service_pb2_grpc.ModelServiceStub(channel))


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    path = tmp_path_factory.mktemp("config") / "models.config"
    with serve(folder, path, entry(folder / "a", "a"), entry(folder / "b", "b")) as made:
        yield made


@pytest.fixture
def several(server: Several) -> Several:
    """The server with all versions of `a`, and `b`, without labels."""
    server.reload(server.entry("a", ALL), server.entry("b"))
    server.wait_for(lambda: server.multiply("a/versions/1").status == server.multiply("a/versions/2").status == 200)
    return server


@pytest.fixture(scope="module")
def client(server: Several) -> Iterator[Client]:
    with Client(server.grpc_target, f"http://127.0.0.1:{server.server.rest_port}") as made:
        yield made


both = pytest.mark.parametrize("protocol", ["grpc", "rest"])


def ask(client: Client, protocol: str, model: str, version: int | str | None = None) -> float:
    import numpy as np

    inputs = {"x": np.ones(1, np.float32)}
    return float(client.predict(inputs, model=model, version=version, protocol=protocol)["y"][0])


@both
def test_each_model_answers_by_its_name(several: Several, client: Client, protocol: str) -> None:
    assert [ask(client, protocol, name) for name in ("a", "b")] == [2.0, 10.0]
    assert [ask(client, protocol, "a", version) for version in (1, 2)] == [1.0, 2.0]
    with pytest.raises(RequestError, match=r"NOT_FOUND: Servable not found for request: Latest\(c\)"):
        ask(client, protocol, "c")


@both
def test_requests_name_versions_by_labels_that_move(several: Several, client: Client, protocol: str) -> None:
    several.reload(several.entry("a", ALL, label("stable", 1), label("canary", 2)), several.entry("b"))
    assert [ask(client, protocol, "a", name) for name in ("stable", "canary")] == [1.0, 2.0]
    several.reload(several.entry("a", ALL, label("stable", 2)), several.entry("b"))
    assert ask(client, protocol, "a", "stable") == 2.0
    for model, name in (("a", "canary"), ("b", "stable"), ("c", "stable")):
        with pytest.raises(RequestError, match=f"INVALID_ARGUMENT: Unrecognized servable version label: {name}"):
            ask(client, protocol, model, name)


@both
def test_metadata_is_found_by_label(several: Several, client: Client, protocol: str) -> None:
    several.reload(several.entry("a", ALL, label("stable", 1)))
    assert client.metadata("a", version="stable", protocol=protocol)["model_spec"]["version"] == "1"


def test_labels_are_percent_decoded_and_an_unknown_one_is_400(several: Several, client: Client) -> None:
    several.reload(several.entry("a", ALL, label("the/best: é", 1)))
    assert several.factor("a/labels/the%2Fbest%3A%20%C3%A9") == 1.0
    assert [ask(client, protocol, "a", "the/best: é") for protocol in ("grpc", "rest")] == [1.0, 1.0]
    reply = several.multiply("a/labels/nope")
    assert (reply.status, reply.error) == (400, "Unrecognized servable version label: nope")


def test_the_status_ignores_the_label(several: Several) -> None:
    entries = json.loads(several.http("GET", "/v1/models/a/labels/nope").text)["model_version_status"]
    assert [entry["version"] for entry in entries] == ["2", "1"]


def test_an_accepted_reload_says_so_in_its_answer(several: Several) -> None:
    response = several.reload(several.entry("a"), several.entry("b"))
    assert response.HasField("status")
    assert (response.status.error_code, response.status.error_message) == (0, "")


def test_a_reload_returns_when_the_new_models_answer(several: Several) -> None:
    several.reload(several.entry("b"))
    several.wait_for(lambda: several.states("a") == {"2": "END", "1": "END"})
    reply = several.multiply("a")
    assert (reply.status, reply.error) == (404, "Servable not found for request: Latest(a)")
    several.reload(several.entry("a"), several.entry("b"))
    assert several.factor("a") == 2.0


def test_a_server_is_ready_when_every_configured_model_answers(several: Several) -> None:
    several.reload(several.entry("a"), several.entry("b"))
    reply = several.http("GET", "/ready")
    assert (reply.status, json.loads(reply.text)["models"]) == (200, {"a": True, "b": True})
    assert several.error(several.entry("a"), several.entry("bad"))[0] == "UNKNOWN"
    reply = several.http("GET", "/ready")
    assert (reply.status, json.loads(reply.text)["models"]) == (503, {"a": True, "bad": False})
    several.reload(several.entry("a"))
    assert several.http("GET", "/ready").status == 200


@pytest.mark.parametrize(
    ("make_entries", "code", "text"),
    [
        (
            lambda s: [s.entry("a"), s.entry("a")],
            "INVALID_ARGUMENT",
            "Illegal to list model a multiple times in config list",
        ),
        (
            lambda s: ['config { name: "m" base_path: "rel/path" model_platform: "tensorflow" }'],
            "INVALID_ARGUMENT",
            "Expected model m to have an absolute path or URI; got base_path()=rel/path",
        ),
        (
            lambda s: [s.entry("a").replace('"tensorflow"', '"caffe"')],
            "INVALID_ARGUMENT",
            "Illegal to change a model's platform. For model a platform was tensorflow and new platform requested is "
            "caffe",
        ),
        (
            lambda s: [s.entry("m").replace('"tensorflow"', '"caffe"')],
            "INVALID_ARGUMENT",
            "Model m requests unsupported platform caffe",
        ),
        (
            lambda s: ['config { name: "m" base_path: "/m" }'],
            "INVALID_ARGUMENT",
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
            "model name is m",
        ),
        (
            lambda s: [s.entry("m", "model_type: TENSORFLOW")],
            "INVALID_ARGUMENT",
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform.",
        ),
        (
            lambda s: [s.entry("a", ALL, label("x", 5))],
            "FAILED_PRECONDITION",
            "Request to assign label to version 5 of model a, which is not currently available for inference",
        ),
        (
            lambda s: [s.entry("m", label("x", 1), base_path="b")],
            "FAILED_PRECONDITION",
            "Request to assign label to version 1 of model m, which is not currently available for inference",
        ),
        (
            lambda s: [s.entry("empty")],
            "NOT_FOUND",
            "Unable to find a numerical version path for servable empty at: {folder}/empty",
        ),
    ],
)
def test_a_refused_reload_is_told_and_changes_nothing(
    several: Several, make_entries: Callable[[Several], list[str]], code: str, text: str
) -> None:
    assert several.error(*make_entries(several)) == (code, text.format(folder=several.folder))
    assert [several.factor(name) for name in ("a", "b", "a/versions/1")] == [2.0, 10.0, 1.0]
    several.reload(several.entry("a", ALL), several.entry("b"), several.entry("m", base_path="b"))
    assert several.factor("m") == 10.0


def test_only_a_list_of_models_is_taken(several: Several) -> None:
    from tensorflow_serving.apis import model_management_pb2

    with pytest.raises(grpc.RpcError) as caught:
        several.stub.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest())
    assert (caught.value.code().name, caught.value.details()) == (
        "INVALID_ARGUMENT",
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
        "supported",
    )


def test_a_new_model_that_cannot_be_loaded_takes_no_other_down(several: Several) -> None:
    code, text = several.error(several.entry("a"), several.entry("bad"), several.entry("new", base_path="b"))
    assert code == "UNKNOWN"
    assert text.startswith(
        "1 model(s) did not become available: {{{name: bad version: 9} due to error: NOT_FOUND: Could not find "
    )
    assert text.endswith("}, }")
    assert [several.factor(name) for name in ("a", "new")] == [2.0, 10.0]
    (status,) = json.loads(several.http("GET", "/v1/models/bad").text)["model_version_status"]
    assert (status["state"], status["status"]["error_code"]) == ("END", "NOT_FOUND")
    several.reload(several.entry("a"))


def test_a_new_version_that_cannot_be_loaded_leaves_the_old_one(several: Several) -> None:
    only_one = "model_version_policy { specific { versions: 1 } }"
    several.reload(several.entry("half", only_one))
    assert several.factor("half") == 1.0
    several.reload(several.entry("half"))
    several.wait_for(lambda: several.states("half") == {"9": "END", "1": "AVAILABLE"})
    assert several.factor("half") == 1.0
    reply = several.multiply("half/versions/9")
    assert (reply.status, reply.error) == (404, "Servable not found for request: Specific(half, 9)")


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", {"2"}),
        ("model_version_policy { latest { num_versions: 2 } }", {"1", "2"}),
        ("model_version_policy { all {} }", {"1", "2"}),
        ("model_version_policy { specific { versions: 1 } }", {"1"}),
        ("model_version_policy { specific { versions: 1 versions: 42 } }", {"1"}),
    ],
)
def test_the_policy_says_which_versions_are_served(several: Several, policy: str, served: set[str]) -> None:
    several.reload(several.entry("a", policy))
    several.wait_for(
        lambda: {version for version, state in several.states("a").items() if state == "AVAILABLE"} == served
    )
    assert several.factor("a") == float(max(served))


def test_a_base_path_changes_without_a_gap(several: Several) -> None:
    several.reload(several.entry("m", base_path="b"))
    factors: list[int] = []
    is_done = threading.Event()

    def ask_on() -> None:
        while not is_done.is_set():
            factors.append(several.multiply("m").status)

    thread = threading.Thread(target=ask_on)
    thread.start()
    several.reload(several.entry("m", base_path="moved"))  # the same version number
    several.wait_for(lambda: several.factor("m") == 7.0)
    is_done.set()
    thread.join(10)
    assert set(factors) == {200}
    code, text = several.error(several.entry("m", base_path="gone"))
    assert code == "INVALID_ARGUMENT"
    gone = several.folder / "gone"
    assert text == f"Could not find base path {gone} for servable m with error NOT_FOUND: {gone} not found"
    assert several.factor("m") == 7.0


def test_a_server_without_models_gets_them_later(several: Several) -> None:
    several.reload()
    several.wait_for(lambda: several.multiply("a").status == several.multiply("b").status == 404)
    several.reload(several.entry("b"))
    assert several.factor("b") == 10.0


def test_the_file_is_read_again_and_its_mistakes_change_nothing(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "models.config"

    def write(text: str) -> None:
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(path)

    with serve(folder, path, entry(folder / "b", "first"), config_poll_seconds=0.02) as server:
        assert server.factor("first") == 10.0
        write(f"model_config_list {{ {entry(folder / 'b', 'first')} {entry(folder / 'a', 'second')} }}")
        server.wait_for(lambda: server.multiply("second").status == 200)
        watch = server.server._configured
        for mistake in ("model_config_list { config {", "", f"model_config_list {{ {entry(folder / 'gone', 'x')} }}"):
            before = watch._models
            write(mistake)
            time.sleep(0.1)
            assert watch._models is before
            assert [server.factor(name) for name in ("first", "second")] == [10.0, 2.0]
        write(f"model_config_list {{ {entry(folder / 'a', 'second')} }}")
        server.wait_for(lambda: server.multiply("first").status == 404)
        with contextlib.suppress(grpc.RpcError):  # the next read of the file takes it back, maybe before it is loaded
            server.reload(server.entry("b"))
        server.wait_for(lambda: server.multiply("b").status == 404 and server.multiply("second").status == 200)
        write(f"model_config_list {{ {entry(folder / 'a', 'second', label('stable', 2))} }}")
        server.wait_for(lambda: server.multiply("second/labels/stable").status == 200)


def test_labels_from_the_start_need_the_flag(folder: Path, tmp_path: Path) -> None:
    labelled = entry(folder / "a", "a", label("stable", 2))
    path = tmp_path / "models.config"
    with pytest.raises(ServerError) as caught, serve(folder, path, labelled):
        pass
    assert str(caught.value) == (
        "Failed to start server. Error: FAILED_PRECONDITION: Request to assign label to version 2 of model a, which is "
        "not currently available for inference"
    )
    with serve(folder, path, labelled, allow_unavailable_labels=True) as server:
        assert server.factor("a/labels/stable") == 2.0
        server.reload(server.entry("a", label("stable", 2), label("next", 3)))
        reply = server.multiply("a/labels/next")
        assert (reply.status, reply.error) == (404, "Servable not found for request: Specific(a, 3)")
        code, _ = server.error(server.entry("a", label("stable", 3)))
        assert code == "FAILED_PRECONDITION"


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        (
            ["a", "gone", "empty"],
            r"Model gone: .*No such file or directory.* Model empty: A base path must hold a version",
        ),
        (["a", "a"], "Failed to start server. Error: INVALID_ARGUMENT: Illegal to list model a multiple times"),
    ],
)
def test_what_cannot_be_served_is_found_before_loading(
    folder: Path, tmp_path: Path, entries: list[str], error: str
) -> None:
    path = tmp_path / "models.config"
    path.write_text(f"model_config_list {{ {' '.join(entry(folder / name, name) for name in entries)} }}")
    with pytest.raises((InputError, ServerError), match=error):
        ModelServer(ServerOptions(config_file=path, grpc_port=None)).check()


def test_a_policy_that_chooses_nothing_is_found_before_loading(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    chosen = "model_version_policy { specific { versions: 42 } }"
    path.write_text(f"model_config_list {{ {entry(folder / 'a', 'a', chosen)} }}")
    with pytest.raises(InputError, match=r"Model a: A version policy must choose .*, and the versions \[1, 2\] in"):
        ModelServer(ServerOptions(config_file=path, grpc_port=None)).check()
