"""The change of the configured models, with loads that the test holds back or breaks."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.server.test_manager import Loader, wait_for
from tfchain.deployment.server.config import ModelConfig
from tfchain.deployment.server.manager import Manager, ModelSpec
from tfchain.deployment.server.reload import ConfiguredModels
from tfchain.deployment.server.source import FileSystemSource
from tfchain.deployment.server.status import StatusError


class Server:
    """The parts of a server that a configuration reaches, over base paths of empty folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loader = Loader()
        self.manager = Manager(self.loader, max_retries=0, retry_seconds=0.01)
        self.source = FileSystemSource(self.manager.set_wanted, poll_seconds=0)
        self.configured = ConfiguredModels(self.manager, self.source, load_timeout_seconds=10)

    def version(self, model: str, *versions: str) -> None:
        for version in versions:
            (self.folder / model / version).mkdir(parents=True, exist_ok=True)

    def entry(self, name: str, more: str = "", base_path: str = "") -> str:
        path = self.folder / (base_path or name)
        return f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {more} }}'

    def start(self, *names: str) -> None:
        self.configured.start({name: ModelConfig(name, self.folder / name) for name in names})

    def reload(self, *entries: str, timeout_seconds: float | None = None) -> None:
        self.configured.reload(make_config(*entries), timeout_seconds)

    def error(self, *entries: str) -> str:
        with pytest.raises(StatusError) as caught:
            self.reload(*entries)
        return str(caught.value)

    def served(self, name: str, **spec: Any) -> int:
        with self.manager.lend(ModelSpec(name, **spec)) as lease:
            return lease.version


def make_config(*entries: str) -> Any:
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    text = f"model_config_list {{ {' '.join(entries)} }}"
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.version("a", "1")
    made.version("b", "1")
    yield made
    made.source.close()
    made.manager.close(5.0)


def test_a_reload_waits_until_the_new_model_answers(server: Server) -> None:
    server.start("a")
    server.version("b", "7")
    server.loader.held["7"] = threading.Event()
    done = threading.Event()

    def reload() -> None:
        server.reload(server.entry("a"), server.entry("b"))
        done.set()

    thread = threading.Thread(target=reload)
    thread.start()
    wait_for(lambda: "7" in server.loader.calls)
    assert not done.is_set()
    assert server.served("a") == 1
    server.loader.held["7"].set()
    thread.join(5)
    assert done.is_set()
    assert server.served("b") == 7


def test_a_reload_does_not_wait_for_new_versions_of_old_models(server: Server) -> None:
    server.start("a")
    server.version("a", "2")
    server.loader.held["2"] = threading.Event()
    server.reload(server.entry("a"))
    assert server.served("a") == 1
    server.loader.held["2"].set()
    wait_for(lambda: server.served("a") == 2)


def test_a_model_that_leaves_the_configuration_is_unloaded_and_may_come_back(server: Server) -> None:
    server.start("a", "b")
    server.reload(server.entry("b"))
    wait_for(lambda: [status.state.name for status in server.manager.statuses("a")] == ["END"])
    with pytest.raises(StatusError, match=r"Servable not found for request: Latest\(a\)"):
        server.served("a")
    server.reload(server.entry("a"), server.entry("b"))
    assert server.served("a") == 1
    server.reload()
    wait_for(lambda: all(model.is_closed for model in server.loader.made))


def test_a_new_model_that_cannot_be_loaded_is_told_and_takes_no_other_down(server: Server) -> None:
    server.start("a")
    server.version("bad", "9")
    server.loader.failures["9"] = 1
    assert server.error(server.entry("a"), server.entry("bad"), server.entry("b")) == (
        "UNKNOWN: 1 model(s) did not become available: "
        "{{{name: bad version: 9} due to error: INVALID_ARGUMENT: 9 is broken}, }"
    )
    assert (server.served("a"), server.served("b")) == (1, 1)
    server.reload(server.entry("a"))  # the next one is not held up by it
    with pytest.raises(StatusError):
        server.served("b")


def test_the_start_names_all_versions_that_could_not_be_loaded(server: Server) -> None:
    server.version("bad", "9")
    server.loader.failures["9"] = 1
    with pytest.raises(StatusError) as caught:
        server.start("a", "bad")
    assert str(caught.value) == (
        "UNKNOWN: 1 servable(s) did not become available: "
        "{{name: bad version: 9} due to error: INVALID_ARGUMENT: 9 is broken, }"
    )


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        (["a", "a"], "INVALID_ARGUMENT: Illegal to list model a multiple times in config list"),
        (["a", "gone"], "INVALID_ARGUMENT: Could not find base path "),
        (["a", "empty"], "NOT_FOUND: Unable to find a numerical version path for servable empty at: "),
    ],
)
def test_a_refused_configuration_changes_nothing(server: Server, entries: list[str], error: str) -> None:
    (server.folder / "empty").mkdir()
    server.start("a")
    before = server.configured._models
    assert server.error(*map(server.entry, entries)).startswith(error)
    assert server.configured._models is before
    assert server.served("a") == 1
    server.reload(server.entry("a"), server.entry("b"))
    assert server.served("b") == 1


def test_after_an_entry_without_a_platform_right_configurations_are_taken(server: Server) -> None:
    """A stock server stores the wrong one, and refuses every later one."""
    server.start("a")
    for more, error in (("", "Illegal setting neither"), ('model_platform: "caffe"', "unsupported platform caffe")):
        entry = f'config {{ name: "b" base_path: "{server.folder / "b"}" {more} }}'
        assert error in server.error(server.entry("a"), entry)
    server.reload(server.entry("a"), server.entry("b"))
    assert server.served("b") == 1


def test_a_model_may_not_change_its_platform(server: Server) -> None:
    server.start("a")
    entry = server.entry("a").replace('"tensorflow"', '"caffe"')
    assert server.error(entry) == (
        "INVALID_ARGUMENT: Illegal to change a model's platform. For model a platform was tensorflow and new platform "
        "requested is caffe"
    )


def test_labels_follow_the_configuration(server: Server) -> None:
    server.version("a", "2")
    server.start("a")
    both = "model_version_policy { all {} }"
    assert server.error(server.entry("a", f'{both} version_labels {{ key: "stable" value: 1 }}')) == (
        "FAILED_PRECONDITION: Request to assign label to version 1 of model a, which is not currently available for "
        "inference"
    )
    server.reload(server.entry("a", both))
    wait_for(lambda: server.manager.is_available("a", 1))
    server.reload(server.entry("a", f'{both} version_labels {{ key: "stable" value: 1 }}'))
    assert server.served("a", label="stable") == 1
    server.reload(server.entry("a", f'{both} version_labels {{ key: "stable" value: 2 }}'))
    assert server.served("a", label="stable") == 2
    server.reload(server.entry("a", both))
    with pytest.raises(StatusError, match="Unrecognized servable version label: stable"):
        server.served("a", label="stable")


def test_a_label_of_an_unloaded_version_is_not_found(server: Server) -> None:
    server.start("a")
    server.reload(server.entry("a", 'version_labels { key: "stable" value: 1 }'))
    server.version("a", "2")
    server.source.poll_once()
    wait_for(lambda: server.served("a") == 2 and not server.manager.is_available("a", 1))
    with pytest.raises(StatusError, match=r"NOT_FOUND: Servable not found for request: Specific\(a, 1\)"):
        server.served("a", label="stable")


def test_policies_change_while_the_server_runs(server: Server) -> None:
    server.version("a", "2", "3")
    server.start("a")

    def served() -> list[int]:
        return [version for version in (1, 2, 3) if server.manager.is_available("a", version)]

    for policy, expected in (
        ("all {}", [1, 2, 3]),
        ("specific { versions: 1 versions: 42 }", [1]),
        ("latest { num_versions: 2 }", [2, 3]),
        ("latest {}", [3]),
    ):
        server.reload(server.entry("a", f"model_version_policy {{ {policy} }}"))
        wait_for(lambda expected=expected: served() == expected)  # type: ignore[misc]


def test_a_base_path_changes_while_the_model_answers(server: Server) -> None:
    server.version("other", "1")
    server.start("a")
    server.reload(server.entry("a", base_path="other"))
    wait_for(lambda: len(server.loader.made) == 2 and server.loader.made[0].is_closed)
    with server.manager.lend(ModelSpec("a")) as lease:
        assert lease.servable is server.loader.made[1]
        assert server.loader.made[1].path == server.folder / "other" / "1"


def test_a_base_path_that_is_not_there_takes_no_model_down(server: Server) -> None:
    (server.folder / "empty").mkdir()
    server.start("a")
    for base_path in ("gone", "empty"):
        assert "servable a" in server.error(server.entry("a", base_path=base_path))
    server.source.poll_once()
    assert server.served("a") == 1


def test_a_wait_ends_at_the_deadline_and_when_the_model_leaves(server: Server) -> None:
    server.start("a")
    server.version("b", "7")
    server.loader.held["7"] = threading.Event()
    with pytest.raises(StatusError, match=r"DEADLINE_EXCEEDED: The models b were not loaded in 0 s\."):
        server.reload(server.entry("a"), server.entry("b"), timeout_seconds=0.02)
    errors: list[str] = []
    server.version("c", "7")
    thread = threading.Thread(
        target=lambda: errors.append(server.error(server.entry("a"), server.entry("b"), server.entry("c")))
    )
    thread.start()
    wait_for(lambda: server.loader.calls.count("7") == 2)
    server.reload(server.entry("a"))
    thread.join(5)
    assert errors == [
        "UNKNOWN: 1 model(s) did not become available: "
        "{{{name: c} due to error: it has no version to load, or left the configuration}, }"
    ]
    server.loader.held["7"].set()


def test_a_file_that_has_not_changed_is_not_applied_again_and_one_that_has_is(server: Server) -> None:
    server.start("a")
    server.configured.update(make_config(server.entry("a")))
    assert server.configured._models == {"a": ModelConfig("a", server.folder / "a")}
    server.version("a", "2")
    server.configured.update(make_config(server.entry("a")))
    assert server.served("a") == 1  # nothing was looked at
    server.configured.update(make_config(server.entry("a"), server.entry("b")))
    wait_for(lambda: server.manager.is_available("b", 1))


def test_a_warning_is_logged_when_a_model_is_taken_up_and_not_at_every_read(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.start("b")
    config = make_config(server.entry("a", "logging_config {}"))
    for _ in range(3):
        server.configured.update(config)
    assert [record.message.split(":")[:2] for record in caplog.records if "logging_config" in record.message] == [
        ["model a", " logging_config is ignored"]
    ]


def test_only_lists_of_models_are_taken(server: Server) -> None:
    from tensorflow_serving.config import model_server_config_pb2

    empty = model_server_config_pb2.ModelServerConfig()
    custom = model_server_config_pb2.ModelServerConfig()
    custom.custom_model_config.SetInParent()
    server.configured.start(None)
    server.configured.update(empty)  # still nothing
    server.reload(server.entry("a"))
    for config in (empty, custom):
        with pytest.raises(StatusError) as caught:
            server.configured.reload(config)
        assert str(caught.value) == (
            "INVALID_ARGUMENT: ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList "
            "is currently supported"
        )
        with pytest.raises(StatusError, match="FAILED_PRECONDITION: Cannot transition to requested config. It is only"):
            server.configured.update(config)
    assert server.served("a") == 1
