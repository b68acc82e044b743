"""Releases on TensorFlow Serving: a model config with version labels, and its reload in a running server."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tfchain.core.atomic import write_file
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.arguments import check_model_name
from tfchain.deployment.release_state import ReleaseState, find_live, read_state

STABLE, CANARY = "stable", "canary"
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class ServedBase:
    """A model of a server.

    Args:
        name: The name that requests use.
        base_path: The base path here, with `releases.json`.
        served_path: The same folder as the server sees it, such as `/models/docs` in a container or `gs://…`. Default:
            the base path.
    """

    name: str
    base_path: Path
    served_path: str = ""

    @property
    def path(self) -> str:
        """The base path for the server."""
        return self.served_path or str(self.base_path.resolve())


class ModelService(Protocol):
    """What is asked of a running server."""

    def reload(self, config: Any) -> None:
        """Replaces the configuration of all models.

        Raises:
            ServerError: if the server refuses it, or cannot be reached.
        """

    def list_available(self, model: str) -> frozenset[int]:
        """Returns the versions of a model that answer now."""


def make_model_config(models: Mapping[str, Path | str] | list[ServedBase], *, with_labels: bool = True) -> str:
    """Makes the model config file of a TensorFlow Serving for base paths as their releases are now.

    The live version has the label `stable`, and the canary `canary`. A stock server sends requests that name neither a
    version nor a label to the highest version that is loaded: beside a canary, clients must ask for the label `stable`.

    Args:
        models: Base paths by model name, or `ServedBase`s.
        with_labels: Whether to set labels, which a stock server takes only of versions that are loaded. Default: True.

    Returns:
        The file's text.

    Raises:
        InputError: if a name is not valid, or a base path has no version.
    """
    bases = models if isinstance(models, list) else [ServedBase(name, Path(path)) for name, path in models.items()]
    return _to_text(_make_config(bases, lambda base, version: with_labels))


def write_model_config(path: Path | str, models: Mapping[str, Path | str] | list[ServedBase]) -> Path:
    """Writes the model config file in one step; a server with `--model_config_file_poll_wait_seconds` takes it up.

    The server needs `--allow_version_labels_for_unavailable_models`, as the file names versions that load later.
    """
    return write_file(path, make_model_config(models))


def reload_server(service: ModelService, bases: list[ServedBase], *, timeout_seconds: float = 120.0) -> None:
    """Puts the releases of base paths in force in a running TensorFlow Serving, stock or embedded.

    A stock server refuses a label of a version that is not loaded, and unloads what the configuration leaves out. So
    first the new versions load beside those that answer now, and only then the labels move and the old ones go.

    Args:
        service: The server.
        bases: All of its models: a reload replaces the whole configuration.
        timeout_seconds: The time limit for the versions to load. Default: 120.

    Raises:
        ServerError: if the server refuses, or a version does not load in time: the labels are then where they were.
    """
    available = {base.name: service.list_available(base.name) for base in bases}
    service.reload(_make_config(bases, lambda base, version: version in available[base.name], keep=available))
    deadline = time.monotonic() + timeout_seconds
    for base in bases:
        wanted = _find_served(base)[0]
        while not wanted <= service.list_available(base.name):
            if time.monotonic() > deadline:
                missing = sorted(wanted - service.list_available(base.name))
                raise ServerError(
                    f"The versions {missing} of {base.name} were not loaded in {timeout_seconds:g} s. The labels are "
                    "where they were. See the server's log."
                )
            time.sleep(_POLL_SECONDS)
    service.reload(_make_config(bases, lambda *_: True))


def _make_config(
    bases: list[ServedBase],
    may_label: Callable[[ServedBase, int], bool],
    *,
    keep: Mapping[str, frozenset[int]] | None = None,
) -> Any:
    """Makes the proto; a label that may not move yet is left out. `keep` are versions to go on serving by model."""
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.SetInParent()
    for base in bases:
        check_model_name(base.name)
        served, state = _find_served(base)
        entry = config.model_config_list.config.add(name=base.name, base_path=base.path, model_platform="tensorflow")
        versions = served | (keep or {}).get(base.name, frozenset())
        entry.model_version_policy.specific.versions.extend(sorted(versions))
        for label, version in ((STABLE, state.live), (CANARY, state.canary)):
            if version is not None and may_label(base, version):
                entry.version_labels[label] = version
    return config


def _find_served(base: ServedBase) -> tuple[frozenset[int], ReleaseState]:
    """Returns the versions to load, and the state with a live version."""
    state = read_state(base.base_path)
    live = find_live(base.base_path)
    if live is None:
        raise InputError(
            f"A model must have a version. Received: {base.base_path} without any, for {base.name}. Export one first."
        )
    served = frozenset({live}) | state.served
    return served, state if state.live is not None else ReleaseState(live=live)


def _to_text(config: Any) -> str:
    from google.protobuf import text_format

    return str(text_format.MessageToString(config))
