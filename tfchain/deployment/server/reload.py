"""The change from one configuration of the models to another, while the server runs."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfchain.deployment.server.base_paths import check_has_version
from tfchain.deployment.server.config import ModelConfig, check_platforms, parse_config
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.source import FileSystemSource
from tfchain.deployment.server.status import Code, StatusError, invalid_argument
from tfchain.deployment.server.versions import VersionStatus

logger = logging.getLogger(__name__)


class ConfiguredModels:
    """The models that a server is told to serve, and their replacement by others.

    A configuration that is refused changes nothing. (A stock server stores some wrong configurations before it finds
    the mistake, and then refuses right ones, too.)

    Args:
        manager: The manager that loads the models, and resolves their labels.
        source: The source that watches their base paths.
        allow_unavailable_labels: Whether new labels may point to versions that do not answer yet. Default: False.
        load_timeout_seconds: The time limit of the wait for new models.
    """

    def __init__(
        self,
        manager: Manager,
        source: FileSystemSource,
        *,
        allow_unavailable_labels: bool = False,
        load_timeout_seconds: float,
    ) -> None:
        self._manager = manager
        self._source = source
        self._allow_unavailable_labels = allow_unavailable_labels
        self._load_timeout_seconds = load_timeout_seconds
        self._models: Mapping[str, ModelConfig] | None = None
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the configured models."""
        return tuple(self._models or ())

    def start(self, models: Mapping[str, ModelConfig] | None, *, allow_unavailable_labels: bool = False) -> None:
        """Takes the first configuration, waits until every model answers, and watches the base paths from then on.

        Args:
            models: The models by name; None for no configuration yet.
            allow_unavailable_labels: Whether labels may point to versions that do not answer yet, also where later ones
                may not. Default: False.

        Raises:
            StatusError: if a model has no version that could be loaded.
        """
        failures = {}
        if models is not None:
            allowed = allow_unavailable_labels or self._allow_unavailable_labels
            failures = self._wait(self._replace(models, check_base_paths=False, allow_unavailable=allowed))
        self._source.start()
        if failures:
            listed = "".join(
                f"{{name: {name} version: {status.version}}} due to error: {status.error}, "
                for name, statuses in failures.items()
                for status in statuses
            )
            count = sum(map(len, failures.values()))
            missing = [name for name, statuses in failures.items() if not statuses]
            listed += "".join(f"{{name: {name}}} due to error: it has no version to load, " for name in missing)
            raise StatusError(
                Code.UNKNOWN, f"{count + len(missing)} servable(s) did not become available: {{{listed}}}"
            )

    def reload(self, config: Any, timeout_seconds: float | None = None) -> None:
        """Replaces the models by those of a `ModelServerConfig`, and waits until the new ones answer.

        New versions of models that were served before load in the background.

        Args:
            config: The proto.
            timeout_seconds: The time limit of the wait; None for the server's own.

        Raises:
            StatusError: if the configuration is refused, which changes nothing. With UNKNOWN if a new model could not
                be loaded, and DEADLINE_EXCEEDED if that takes too long: then the configuration is in force all the
                same.
        """
        self.begin_reload(config)(timeout_seconds)

    def begin_reload(self, config: Any) -> Callable[[float | None], None]:
        """Puts a `ModelServerConfig` in force, without waiting for its models.

        Args:
            config: The proto.

        Returns:
            A function that waits until the new models answer: `reload` from there on, with the same argument.

        Raises:
            StatusError: if the configuration is refused, which changes nothing.
        """
        if config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported"
            )
        new = self._replace(_parse_list(config), check_base_paths=True)

        def wait(timeout_seconds: float | None) -> None:
            failures = self._wait(new, timeout_seconds)
            if failures:
                listed = "".join(f"{{{_describe(name, statuses)}}}, " for name, statuses in failures.items())
                raise StatusError(Code.UNKNOWN, f"{len(failures)} model(s) did not become available: {{{listed}}}")

        return wait

    def update(self, config: Any) -> None:
        """Replaces the models by those of a config file that is read again, without waiting for them.

        Raises:
            StatusError: if the configuration is refused; the old one stays in force.
        """
        if config.WhichOneof("config") != "model_config_list":
            if self._models is None and config.WhichOneof("config") is None:
                return
            raise StatusError(
                Code.FAILED_PRECONDITION,
                "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to "
                "another.",
            )
        models = _parse_list(config)
        if models != self._models:
            self._replace(models, check_base_paths=True)

    def _replace(
        self, models: Mapping[str, ModelConfig], *, check_base_paths: bool, allow_unavailable: bool | None = None
    ) -> list[str]:
        """Puts a configuration in force, and returns the models that are new in it."""
        with self._lock:
            old = self._models or {}
            check_platforms(old, models)
            self._manager.labels.check(
                models,
                self._manager.is_available,
                allow_unavailable=self._allow_unavailable_labels if allow_unavailable is None else allow_unavailable,
            )
            for model in models.values() if check_base_paths else ():
                if model.name not in old or model.base_path != old[model.name].base_path:
                    check_has_version(model)
            for model in models.values():
                for warning in model.warnings:
                    logger.warning("model %s: %s", model.name, warning)
            self._manager.labels.replace(models)
            self._models = dict(models)
            self._source.set_models(models)
            return [name for name in models if name not in old]

    def _wait(self, names: Sequence[str], timeout_seconds: float | None = None) -> dict[str, list[VersionStatus]]:
        limit = self._load_timeout_seconds
        return self._manager.wait_until_loaded(names, limit if timeout_seconds is None else min(timeout_seconds, limit))


def _parse_list(config: Any) -> Mapping[str, ModelConfig]:
    models = parse_config(config)
    assert models is not None  # the callers have looked
    return models


def _describe(name: str, statuses: Sequence[VersionStatus]) -> str:
    """Describes a model that did not become available as a stock server does: by one of its versions."""
    if not statuses:
        return f"{{name: {name}}} due to error: it has no version to load, or left the configuration"
    status = max(statuses, key=lambda status: status.version)
    return f"{{name: {name} version: {status.version}}} due to error: {status.error}"
