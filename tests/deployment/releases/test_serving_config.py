"""The change of a running TensorFlow Serving, against a stand-in with the stock server's rules."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.deployment.releases.versions import make_version
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.releases.serving_config import ServedBase, make_model_config, reload_server, write_model_config
from tfchain.deployment.releases.switch import promote, start_canary


class StockServer:
    """Loads a version at the second look, and refuses labels of versions that are not loaded, as a stock server does.

    Args:
        available: What answers, by model.
        broken: Versions that never load.
    """

    def __init__(self, available: dict[str, set[int]], broken: set[int] | None = None) -> None:
        self.available = available
        self.broken = broken or set()
        self.wanted: dict[str, set[int]] = {name: set(versions) for name, versions in available.items()}
        self.labels: dict[str, dict[str, int]] = {}
        self.configs: list[Any] = []

    def reload(self, config: Any) -> None:
        for entry in config.model_config_list.config:
            for label, version in entry.version_labels.items():
                if version not in self.available.get(entry.name, set()):
                    raise ServerError(f"Request to assign label to version {version}, {label}")
        self.configs.append(config)
        for entry in config.model_config_list.config:
            self.labels[entry.name] = dict(entry.version_labels)
            self.wanted[entry.name] = set(entry.model_version_policy.specific.versions)
            self.available.setdefault(entry.name, set()).intersection_update(self.wanted[entry.name])

    def list_available(self, model: str) -> frozenset[int]:
        now = frozenset(self.available.get(model, set()))
        self.available[model] = self.wanted.get(model, set()) - self.broken
        return now


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        make_version(tmp_path / "docs", number)
    return tmp_path / "docs"


def parse(text: str) -> Any:
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config


def test_the_config_names_the_versions_and_labels_them(base_path: Path, tmp_path: Path) -> None:
    promote(base_path, 2)
    start_canary(base_path, 3)
    (entry,) = parse(make_model_config({"docs": base_path}))
    assert (entry.name, entry.base_path, entry.model_platform) == ("docs", str(base_path.resolve()), "tensorflow")
    assert list(entry.model_version_policy.specific.versions) == [2, 3]
    assert dict(entry.version_labels) == {"stable": 2, "canary": 3}
    file = write_model_config(tmp_path / "models.config", [ServedBase("docs", base_path, "gs://bucket/docs")])
    assert parse(file.read_text())[0].base_path == "gs://bucket/docs"


def test_without_a_release_the_highest_version_is_stable(base_path: Path, tmp_path: Path) -> None:
    (entry,) = parse(make_model_config({"docs": base_path}))
    assert dict(entry.version_labels) == {"stable": 3}
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="A model must have a version. Received: .*empty without any, for docs"):
        make_model_config({"docs": tmp_path / "empty"})
    with pytest.raises(InputError, match="must be a name without / or :"):
        make_model_config({"a/b": base_path})


def test_a_running_server_loads_first_and_moves_labels_then(base_path: Path) -> None:
    promote(base_path, 1)
    server = StockServer({"docs": {1}})
    bases = [ServedBase("docs", base_path)]
    reload_server(server, bases)
    promote(base_path, 2)
    reload_server(server, bases)
    first, second = (config.model_config_list.config[0] for config in server.configs[-2:])
    assert list(first.model_version_policy.specific.versions) == [1, 2]  # the old one still answers
    assert dict(first.version_labels) == {}
    assert (list(second.model_version_policy.specific.versions), dict(second.version_labels)) == ([2], {"stable": 2})
    assert server.labels == {"docs": {"stable": 2}}


def test_a_version_that_does_not_load_leaves_what_answers(base_path: Path) -> None:
    promote(base_path, 1)
    server = StockServer({"docs": {1}}, broken={2})
    promote(base_path, 2)
    with pytest.raises(
        ServerError, match=r"The versions \[2\] of docs were not loaded in 0.01 s. The labels are where"
    ):
        reload_server(server, [ServedBase("docs", base_path)], timeout_seconds=0.01)
    assert 1 in server.available["docs"]
