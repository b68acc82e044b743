"""The endpoints that watch the server: metrics, whether it lives, and whether it is ready."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.http.routes import ANY_METHOD, Request, Router
from tfchain.deployment.server.metrics.exposition import CONTENT_TYPE, write_metrics
from tfchain.deployment.server.metrics.process import read_process
from tfchain.deployment.server.metrics.registry import Registry
from tfchain.deployment.server.text_proto import make_message, read_text_proto

_OWN_PATH = "/metrics"
_DEFAULT_PATH = "/monitoring/prometheus/metrics"
_TEXT = (("Content-Type", CONTENT_TYPE),)
_PROMETHEUS = (("Content-Type", f"{CONTENT_TYPE}; version=0.0.4; charset=utf-8"),)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the server can answer.

    Args:
        models: Model → whether it has a version that answers.
        is_stopping: Whether the server has begun to stop.
        is_starting: Whether other workers of this server have still to start.
    """

    models: Mapping[str, bool]
    is_stopping: bool = False
    is_starting: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether every configured model answers, and will go on to."""
        return all(self.models.values()) and not self.is_stopping and not self.is_starting


def add_monitoring(
    router: Router,
    registry: Registry,
    *,
    readiness: Callable[[], Readiness],
    prometheus_path: str | None = None,
    collect: Callable[[], Registry] | None = None,
) -> None:
    """Adds `GET /metrics`, `/live` and `/ready`, and TensorFlow Serving's metrics at their own path.

    Args:
        router: The table to add to.
        registry: The metrics.
        readiness: Tells whether the server can answer now.
        prometheus_path: The path of TensorFlow Serving's metrics; None for none.
        collect: With several workers, returns the metrics of all, also those about their processes. Default: None, this
            process is the whole server.
    """

    def metrics(_: Request) -> Answer:
        if collect is not None:
            return _answer(200, _PROMETHEUS, write_metrics(collect().metrics(), has_help=True))
        return _answer(200, _PROMETHEUS, write_metrics(registry.metrics(), read_process(), has_help=True))

    def stock_metrics(request: Request) -> Answer:
        if request.query:
            asked = f"{request.path}?{request.query}"
            return _answer(400, _TEXT, f"Unexpected path: {asked}. Should be {prometheus_path}")
        found = registry.metrics() if collect is None else collect().metrics()
        return _answer(200, _TEXT, write_metrics([each for each in found if not each.name.startswith("process_")]))

    def live(_: Request) -> Answer:
        return _answer(200, _TEXT, "live\n")

    def ready(_: Request) -> Answer:
        now = readiness()
        state = "stopping" if now.is_stopping else "ready" if now.is_ready else "loading"
        text = json.dumps({"status": state, "models": dict(now.models)})
        return _answer(200 if now.is_ready else 503, (("Content-Type", "application/json"),), text)

    if prometheus_path != _OWN_PATH:
        router.add("GET", _OWN_PATH, metrics, is_light=True)
    router.add("GET", "/live", live, is_public=True, is_light=True)
    router.add("GET", "/ready", ready, is_public=True, is_light=True)
    if prometheus_path is not None:
        router.add(ANY_METHOD, prometheus_path, stock_metrics, is_light=True)


def read_prometheus_path(path: Path | str) -> str | None:
    """Reads a monitoring configuration: a text proto of TensorFlow Serving's `MonitoringConfig`.

    Returns:
        The path where the metrics are served, or None if they are not enabled.

    Raises:
        InputError: if the file is not such a text proto, or its path does not begin with `/`.
    """
    config = read_text_proto(path, make_message("monitoring_config", "MonitoringConfig")).prometheus_config
    if not config.enable:
        return None
    served: str = config.path or _DEFAULT_PATH
    if not served.startswith("/") or "?" in served:
        raise InputError(f"`path` in {path} must begin with / and have no query. Received: path={served!r}.")
    return served


def _answer(status: int, headers: tuple[tuple[str, str], ...], text: str) -> Answer:
    return Answer(status, headers, text.encode("utf-8", "surrogateescape"))
