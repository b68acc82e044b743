"""The embedded model server: the owner of source, manager, gRPC and REST."""

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tfchain import __version__
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.repository import list_versions
from tfchain.deployment.server.grpc.server import GrpcServer
from tfchain.deployment.server.http.limits import RequestLimits
from tfchain.deployment.server.http.monitoring import Readiness, add_monitoring
from tfchain.deployment.server.http.openapi import ApiDocument
from tfchain.deployment.server.http.rest import RestApi
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.http.server import HttpServer, open_socket
from tfchain.deployment.server.http.serving_schema import describe_serving
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.metrics.serving import ServingMetrics
from tfchain.deployment.server.ports import PortFiles, PortOptions, read_port_files, warn_of_clear_keys
from tfchain.deployment.server.servables.litert import load_version
from tfchain.deployment.server.servables.saved_model import LoadOptions
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.source import FileSystemSource, Policy, latest, latest_of
from tfchain.deployment.server.status import StatusError
from tfchain.deployment.server.text.endpoints import add_text_endpoints
from tfchain.deployment.server.versions import State
from tfchain.deployment.server.warmup import run_warmup

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to serve one model.

    Args:
        model_name: The name that requests use.
        base_path: The folder of its version folders.
        host: The address to listen on. Default: `0.0.0.0`, all addresses.
        grpc_port: The gRPC port; 0 lets the system choose, None is no gRPC port. Default: 8500.
        rest_port: The REST port; 0 lets the system choose, None is no REST API. Default: None.
        grpc_socket_path: A UNIX socket for gRPC, or empty.
        rest_timeout_ms: The time limit of a REST request. Default: 30,000.
        has_cors: Whether pages of other sites may read the REST API's answers. Default: False.
        rest_threads: The number of REST requests that run at the same time; 0 for four times the number of CPUs.
        grpc_threads: The same number for gRPC.
        as_content: Whether to answer gRPC requests with raw bytes. Default: False.
        poll_seconds: The seconds between polls of the base path; 0 polls once. Default: 1.
        max_load_retries: The number of retries of a failed load. Default: 5.
        load_retry_seconds: The wait between two attempts. Default: 60.
        has_warmup: Whether to run a version's warm-up records. Default: True.
        warmup_iterations: The number of runs of each record. Default: 1.
        load: How models are loaded.
        version_source: Serves only the versions that this source exported; empty for all. Default: empty.
        ports: How the ports are secured and watched.
        limits: The limits of the REST port's endpoints beside TensorFlow Serving's.
    """

    model_name: str
    base_path: Path
    host: str = "0.0.0.0"
    grpc_port: int | None = 8500
    rest_port: int | None = None
    grpc_socket_path: str = ""
    rest_timeout_ms: int = 30_000
    has_cors: bool = False
    rest_threads: int = 0
    grpc_threads: int = 0
    as_content: bool = False
    poll_seconds: float = 1.0
    max_load_retries: int = 5
    load_retry_seconds: float = 60.0
    has_warmup: bool = True
    warmup_iterations: int = 1
    load: LoadOptions = field(default_factory=LoadOptions)
    version_source: str = ""
    ports: PortOptions = field(default_factory=PortOptions)
    limits: RequestLimits = field(default_factory=RequestLimits)

    @property
    def policy(self) -> Policy:
        """The policy that chooses among the versions of the base path."""
        return latest_of(self.version_source) if self.version_source else latest


class ModelServer:
    """Serves one model's versions; use it in a `with` block, or call `close`.

    Args:
        options: What to serve, and how.

    Attributes:
        metrics: What the server counts and measures.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.metrics = ServingMetrics()
        self._is_stopping = False
        self.grpc_port: int | None = None
        self.rest_port: int | None = None
        self._closers: list[Callable[[], None]] = []

    def __enter__(self) -> "ModelServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Raises early the errors that would prevent a start, before a load that may take minutes.

        A stock TensorFlow Serving waits endlessly for a missing base path, without opening a port; the embedded server
        raises instead, so that a misspelt path is found at once.

        Raises:
            InputError: if the base path cannot be listed, or has no version, or a file of TLS, keys or monitoring is
                wrong.
            ServerError: if a port is in use.
        """
        read_port_files(self.options.ports)
        for port in (self.options.grpc_port, self.options.rest_port):
            if port:
                open_socket(self.options.host, port).close()
        if not self.options.policy(list_versions(self.options.base_path)):
            wanted = f" of the source {self.options.version_source!r}" if self.options.version_source else ""
            raise InputError(
                f"A base path must hold a version folder (`1`, `2`, …){wanted}. Received: {self.options.base_path}, "
                "which has none. Export a version into it first."
            )

    def start(self) -> None:
        """Loads the model, then opens the ports, so that every connection is answered.

        Raises:
            InputError: if the base path cannot be listed, or has no version.
            ServerError: if a port is in use, or no version of the model could be loaded.
        """
        options = self.options
        self.check()
        files = read_port_files(options.ports)
        has_grpc, has_rest = options.grpc_port is not None, options.rest_port is not None
        warn_of_clear_keys(files, options.host, has_grpc=has_grpc, has_rest=has_rest)
        self._start_manager()
        threads = 4 * (os.cpu_count() or 1)
        addresses = [f"unix:{options.grpc_socket_path}"] if options.grpc_socket_path else []
        if options.grpc_port is not None:
            addresses.append(f"{_bracketed(options.host)}:{options.grpc_port}")
        grpc = GrpcServer(
            self._manager,
            addresses=addresses,
            num_threads=options.grpc_threads or threads,
            as_content=options.as_content,
            arguments=options.ports.grpc_arguments,
            tls=files.tls,
            has_health=options.ports.has_health,
            keys=files.keys,
            metrics=self.metrics,
        )
        self._closers.append(grpc.close)
        grpc.start()
        if options.grpc_port is not None:
            self.grpc_port = grpc.ports[-1]
            logger.info("Running gRPC ModelServer at %s:%d ...", options.host, self.grpc_port)
        if options.rest_port is not None:
            router = self._make_router(files)
            http = HttpServer(
                router,
                host=options.host,
                port=options.rest_port,
                num_threads=options.rest_threads or threads,
                tls=files.rest_tls,
                guard=router,
            )
            self._closers.append(http.close)
            http.start()
            self.rest_port = http.port
            logger.info("Exporting HTTP/REST API at:%s:%d ...", options.host, self.rest_port)
        self._closers.append(grpc.announce_stop)

    def readiness(self) -> Readiness:
        """Returns whether every configured model has a version that answers."""
        return Readiness({self.options.model_name: self._answers(self.options.model_name)}, self._is_stopping)

    def close(self) -> None:
        """Closes the ports, finishes the running requests, and unloads the models."""
        self._is_stopping = True
        while self._closers:
            with contextlib.suppress(Exception):  # a part that does not close must not keep the others open
                self._closers.pop()()

    def _make_router(self, files: PortFiles) -> Router:
        api = RestApi(
            self._manager,
            timeout_ms=self.options.rest_timeout_ms,
            has_cors=self.options.has_cors,
            takes_keys=files.keys is not None,
            metrics=self.metrics,
        )
        router = Router(
            api.answer,
            keys=files.keys,
            refused=self.metrics.refused,
            limits=self.options.limits,
            cors_headers=api.cors_headers,
        )
        add_monitoring(router, self.metrics.registry, readiness=self.readiness, prometheus_path=files.prometheus_path)
        document = ApiDocument(__version__, has_keys=files.keys is not None)
        describe_serving(document, files.prometheus_path)
        add_text_endpoints(
            router,
            self._manager,
            readiness=self.readiness,
            document=document,
            timeout_ms=self.options.rest_timeout_ms,
            metrics=self.metrics,
        )
        document.add_to(router)
        return router

    def _answers(self, model: str) -> bool:
        """Returns whether a model has a version that answers."""
        try:
            return any(status.state is State.AVAILABLE for status in self._manager.statuses(model))
        except StatusError:
            return False

    def _start_manager(self) -> None:
        options = self.options
        self._manager = Manager(
            self._load, max_retries=options.max_load_retries, retry_seconds=options.load_retry_seconds
        )
        self._closers.append(self._manager.close)
        source = FileSystemSource(
            options.model_name,
            options.base_path,
            self._manager.set_wanted,
            policy=options.policy,
            poll_seconds=options.poll_seconds,
        )
        self._closers.append(source.close)
        source.start()
        attempts = options.max_load_retries + 1
        try:
            self._manager.wait_until_loaded([options.model_name], attempts * (options.load_retry_seconds + 3600.0))
        except StatusError as error:
            raise ServerError(f"Failed to start server. Error: {error}") from error

    def _load(self, path: Path) -> Servable:
        servable = self.metrics.measure_load(str(path), lambda: load_version(path, self.options.load))
        try:
            if self.options.has_warmup:
                self.metrics.measure_warmup(
                    str(path), lambda: run_warmup(servable, path, num_iterations=self.options.warmup_iterations)
                )
        except BaseException:
            servable.close()
            raise
        return servable


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
