"""The embedded model server: the owner of source, manager, gRPC and REST."""

import contextlib
import logging
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfchain import __version__
from tfchain.core.errors import InputError, ServerError
from tfchain.core.native import NativeEngine
from tfchain.deployment.server.admission import Gate
from tfchain.deployment.server.base_paths import find_problem
from tfchain.deployment.server.batching.batching import Batching, BatchingOptions
from tfchain.deployment.server.batching.metrics import BatchingMetrics
from tfchain.deployment.server.config import ModelConfig, check_platforms, parse_config, read_config_file
from tfchain.deployment.server.config_file import ConfigFileWatch
from tfchain.deployment.server.grpc.server import GrpcServer
from tfchain.deployment.server.http.limits import RequestLimits
from tfchain.deployment.server.http.monitoring import Readiness, add_monitoring
from tfchain.deployment.server.http.openapi import ApiDocument
from tfchain.deployment.server.http.page import add_page
from tfchain.deployment.server.http.rest import RestApi, find_route
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.http.server import Api, HttpServer
from tfchain.deployment.server.http.serving_schema import describe_serving
from tfchain.deployment.server.http.spans import TracedApi
from tfchain.deployment.server.labels import Labels
from tfchain.deployment.server.listening import open_socket
from tfchain.deployment.server.manager import DEFAULT_THREADS, Manager
from tfchain.deployment.server.metrics.serving import ServingMetrics
from tfchain.deployment.server.metrics.stages import StageMetrics
from tfchain.deployment.server.page_cache import drop_from_page_cache
from tfchain.deployment.server.policies import Latest, LatestOf
from tfchain.deployment.server.ports import PortFiles, PortOptions, read_port_files, warn_of_clear_keys
from tfchain.deployment.server.reload import ConfiguredModels
from tfchain.deployment.server.servables.engines import check_native, load_for_engine
from tfchain.deployment.server.servables.native import NativeServable
from tfchain.deployment.server.servables.saved_model import LoadOptions
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.source import FileSystemSource
from tfchain.deployment.server.status import StatusError
from tfchain.deployment.server.text.endpoints import add_text_endpoints
from tfchain.deployment.server.text.search import add_search
from tfchain.deployment.server.text.search_schema import describe_search
from tfchain.deployment.server.tracing import RequestTracer
from tfchain.deployment.server.warmup import run_warmup
from tfchain.deployment.server.workers.worker import GRPC_ARGUMENTS, Worker

logger = logging.getLogger(__name__)

_SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to serve one model, or those of a config file.

    Args:
        model_name: The name that requests use.
        base_path: The folder of its version folders; None if a config file names the models.
        host: The address to listen on. Default: `0.0.0.0`, all addresses.
        grpc_port: The gRPC port; 0 lets the system choose, None is no gRPC port. Default: 8500.
        rest_port: The REST port; 0 lets the system choose, None is no REST API. Default: None.
        grpc_socket_path: A UNIX socket for gRPC, or empty.
        rest_timeout_ms: The time limit of a REST request, from its arrival; 0 for none. Default: 30,000.
        has_cors: Whether pages of other sites may read the REST API's answers. Default: False.
        has_search_page: Whether the REST port serves the search page at `/`. Default: True.
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
        config_file: A file with several models, in place of `model_name` and `base_path`. Default: None.
        config_poll_seconds: The seconds between two reads of the config file; 0 reads it once. Default: 0.
        allow_unavailable_labels: Whether new labels may point to versions that do not answer yet. Default: False.
        num_load_threads: The number of versions that load at the same time; 0 for four. Default: 0.
        num_unload_threads: The number of versions that are freed at the same time; 0 for four. Default: 0.
        ports: How the ports are secured and watched.
        batching: How requests of different clients are batched. Default: texts of tfchain's versions are.
        flushes_page_cache: Whether a loaded version's files are dropped from the page cache. Default: True.
        native: The engine for `load.engine` of `native` or `auto`. Default: there is none.
        limits: The limits of clients and requests.
        tracer: Makes a span of each request; the server closes it. Default: none.
    """

    model_name: str = "default"
    base_path: Path | None = None
    host: str = "0.0.0.0"
    grpc_port: int | None = 8500
    rest_port: int | None = None
    grpc_socket_path: str = ""
    rest_timeout_ms: int = 30_000
    has_cors: bool = False
    has_search_page: bool = True
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
    config_file: Path | None = None
    config_poll_seconds: float = 0.0
    allow_unavailable_labels: bool = False
    num_load_threads: int = 0
    num_unload_threads: int = 0
    ports: PortOptions = field(default_factory=PortOptions)
    batching: BatchingOptions = field(default_factory=BatchingOptions)
    flushes_page_cache: bool = True
    native: NativeEngine | None = None
    limits: RequestLimits = field(default_factory=RequestLimits)
    tracer: RequestTracer | None = None

    def read_models(self) -> dict[str, ModelConfig] | None:
        """Returns the models to serve, read from the config file if there is one; None for an empty file.

        Raises:
            InputError: if there is neither a config file nor a base path.
            StatusError: if the config file cannot be read, or is wrong.
        """
        if self.config_file is not None:
            return parse_config(read_config_file(self.config_file))
        if self.base_path is None:
            raise InputError("A server must have a `base_path` or a `config_file`. Received: neither.")
        policy = LatestOf(self.version_source) if self.version_source else Latest()
        return {self.model_name: ModelConfig(self.model_name, self.base_path.absolute(), policy)}


class ModelServer:
    """Serves models' versions; use it in a `with` block, or call `close`.

    Args:
        options: What to serve, and how.
        worker: What this server shares with other processes that serve the same. Default: None, it is the only one.

    Attributes:
        metrics: What the server counts and measures.
    """

    def __init__(self, options: ServerOptions, worker: Worker | None = None) -> None:
        self.options = options
        self._worker = worker
        self.metrics = ServingMetrics()
        self._is_stopping = False
        self.grpc_port: int | None = None
        self.rest_port: int | None = None
        self._models: Mapping[str, ModelConfig] | None = None
        self._allow_labels = options.allow_unavailable_labels
        self._closers: list[Callable[[], None]] = []
        self._batching = Batching(options.batching)
        self._batches = BatchingMetrics(self.metrics.registry)
        self._stages = StageMetrics(self.metrics.registry)
        self._gate = Gate(options.limits.max_concurrent_requests)
        self._rest_timeout_ms = options.rest_timeout_ms if options.rest_timeout_ms > 0 else None

    def __enter__(self) -> "ModelServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Raises early the errors that would prevent a start, before a load that may take minutes.

        A stock TensorFlow Serving waits endlessly for a missing base path, without opening a port; the embedded server
        raises instead, so that a misspelt path is found at once.

        Raises:
            InputError: if a base path cannot be listed, or has no version to serve, or a file of TLS, keys or
                monitoring is wrong.
            ServerError: if a port is in use, the config file is wrong, or the native engine is required and cannot run
                here.
        """
        if self.options.load.engine == "native":
            check_native(self.options.native)
        read_port_files(self.options.ports)
        for port in (self.options.grpc_port, self.options.rest_port):
            if port and self._worker is None:
                open_socket(self.options.host, port).close()
        self._check_numbers()
        try:
            reloaded = self._worker.read_models() if self._worker is not None else None
            self._models = self.options.read_models() if reloaded is None else reloaded
            check_platforms({}, self._models or {})
            # The labels of a reload point to versions that answered then.
            self._allow_labels = self.options.allow_unavailable_labels or reloaded is not None
            Labels().check(self._models or {}, lambda *_: False, allow_unavailable=self._allow_labels)
        except StatusError as error:
            raise ServerError(f"Failed to start server. Error: {error}") from error
        problems = {name: problem for name, model in (self._models or {}).items() if (problem := find_problem(model))}
        if problems and not (self._worker is not None and self._worker.may_lack_models):
            is_named = self.options.config_file is not None
            raise InputError(" ".join(f"Model {name}: {text}" if is_named else text for name, text in problems.items()))

    def start(self) -> None:
        """Loads the models, then opens the ports, so that every connection is answered.

        Raises:
            InputError: if a base path cannot be listed, or has no version to serve, or a file of TLS, keys or
                monitoring is wrong.
            ServerError: if a port is in use, the config file is wrong, or no version of a model could be loaded.
        """
        options, worker = self.options, self._worker
        self.check()
        files = read_port_files(options.ports)
        has_grpc, has_rest = options.grpc_port is not None, options.rest_port is not None
        warn_of_clear_keys(files, options.host, has_grpc=has_grpc, has_rest=has_rest)
        if options.tracer is not None:
            self._closers.append(options.tracer.close)
        self._start_models()
        threads = 4 * (os.cpu_count() or 1)
        addresses = [f"unix:{options.grpc_socket_path}"] if options.grpc_socket_path else []
        if options.grpc_port is not None:
            addresses.append(f"{_bracketed(options.host)}:{options.grpc_port}")
        grpc = GrpcServer(
            self._manager,
            addresses=addresses,
            num_threads=options.grpc_threads or threads,
            as_content=options.as_content,
            reload=self._configured.reload if worker is None else worker.reload,
            arguments=options.ports.grpc_arguments
            if worker is None
            else (*options.ports.grpc_arguments, *GRPC_ARGUMENTS),
            tls=files.tls,
            has_health=options.ports.has_health,
            keys=files.keys,
            metrics=self.metrics,
            collect=None if worker is None else worker.collect,
            limits=options.limits,
            gate=self._gate,
            tracer=options.tracer,
        )
        self._closers.append(grpc.close)
        grpc.start()
        if options.grpc_port is not None:
            self.grpc_port = grpc.ports[-1]
            logger.info("Running gRPC ModelServer at %s:%d ...", options.host, self.grpc_port)
        if options.rest_port is not None:
            router = self._make_router(files)
            http = HttpServer(
                self._trace(router, files),
                host=options.host,
                port=options.rest_port,
                num_threads=options.rest_threads or threads,
                tls=files.rest_tls,
                guard=router,
                listener=None if worker is None else worker.open_rest_socket(),
                timeout_ms=self._rest_timeout_ms,
                max_connections=options.limits.max_connections,
            )
            self._closers.append(http.close)
            http.start()
            self.rest_port = http.port
            logger.info("Exporting HTTP/REST API at:%s:%d ...", options.host, self.rest_port)
        self._closers.append(grpc.announce_stop)

    def report_ready(self) -> None:
        """Reports a started server to the supervisor if it is one of several workers, and answers what that asks."""
        if self._worker is not None:
            self._worker.start(self.metrics.registry, self._configured.begin_reload)

    def readiness(self) -> Readiness:
        """Returns whether every configured model has a version that answers."""
        models = {name: self._manager.answers(name) for name in self._configured.names}
        is_starting = self._worker is not None and not self._worker.is_complete
        return Readiness(models, self._is_stopping, is_starting)

    def close(self) -> None:
        """Closes the ports, finishes the running requests, and unloads the models."""
        self._is_stopping = True
        while self._closers:
            with contextlib.suppress(Exception):  # a part that does not close must not keep the others open
                self._closers.pop()()

    def _trace(self, router: Router, files: PortFiles) -> Api:
        """Returns what answers REST requests, within spans if there is a tracer."""
        if self.options.tracer is None:
            return router

        def name_route(method: str, target: str) -> str | None:
            route = router.find_route(method, target)
            return find_route(method, target) if route == "" else route

        scheme = "http" if files.rest_tls is None else "https"
        return TracedApi(router.answer, self.options.tracer, name_route, scheme=scheme)

    def _make_router(self, files: PortFiles) -> Router:
        api = RestApi(
            self._manager,
            timeout_ms=self._rest_timeout_ms,
            has_cors=self.options.has_cors,
            takes_keys=files.keys is not None,
            metrics=self.metrics,
            limits=self.options.limits,
        )
        router = Router(
            api.answer,
            keys=files.keys,
            refused=self.metrics.refused,
            limits=self.options.limits,
            gate=self._gate,
            cors_headers=api.cors_headers,
        )
        add_monitoring(
            router,
            self.metrics.registry,
            readiness=self.readiness,
            prometheus_path=files.prometheus_path,
            collect=None if self._worker is None else self._worker.collect,
        )
        document = ApiDocument(__version__, has_keys=files.keys is not None)
        describe_serving(document, files.prometheus_path)
        add_text_endpoints(
            router,
            self._manager,
            readiness=self.readiness,
            document=document,
            timeout_ms=self._rest_timeout_ms,
            metrics=self.metrics,
        )
        add_search(router, self._manager, timeout_ms=self._rest_timeout_ms, metrics=self.metrics)
        describe_search(document)
        document.add_to(router)
        if self.options.has_search_page:
            add_page(router)
        return router

    def _start_models(self) -> None:
        options = self.options
        self._closers.append(self._batching.close)
        self._manager = Manager(
            self._load,
            max_retries=options.max_load_retries,
            retry_seconds=options.load_retry_seconds,
            num_load_threads=options.num_load_threads or DEFAULT_THREADS,
            num_unload_threads=options.num_unload_threads or DEFAULT_THREADS,
        )
        self._closers.append(self._manager.close)
        source = FileSystemSource(self._manager.set_wanted, poll_seconds=options.poll_seconds)
        self._closers.append(source.close)
        self._configured = ConfiguredModels(
            self._manager,
            source,
            allow_unavailable_labels=options.allow_unavailable_labels,
            load_timeout_seconds=(options.max_load_retries + 1) * (options.load_retry_seconds + 3600.0),
        )
        try:
            self._configured.start(self._models, allow_unavailable_labels=self._allow_labels)
        except StatusError as error:
            if self._worker is None or not self._worker.may_lack_models:
                raise ServerError(f"Failed to start server. Error: {error}") from error
            logger.warning("%s", error)
        if self._worker is not None and self._worker.is_complete:  # the other workers answer with all versions
            self._manager.wait_until_settled(_SETTLE_SECONDS)
        if options.config_file is not None and options.config_poll_seconds > 0:
            watch = ConfigFileWatch(
                options.config_file, self._configured.update, poll_seconds=options.config_poll_seconds
            )
            self._closers.append(watch.close)
            watch.start()

    def _check_numbers(self) -> None:
        """Raises an InputError for a number with which the server would wait without end."""
        options = self.options
        for name, number in (
            ("num_load_threads", options.num_load_threads),
            ("num_unload_threads", options.num_unload_threads),
            ("file_system_poll_wait_seconds", options.poll_seconds),
        ):
            if number < 0:
                raise InputError(f"`{name}` must be at least 0. Received: {name}={number}.")

    def _load(self, name: str, version: int, path: Path) -> Servable:
        servable = self.metrics.measure_load(
            str(path),
            lambda: load_for_engine(
                path,
                self.options.load,
                native=self.options.native,
                on_load=lambda saved_model: self._warm_up(saved_model, path),
            ),
        )
        answered = servable.answered if isinstance(servable, NativeServable) else None
        servable = measured = self._stages.measure(servable, name, version)
        try:
            servable = self._batching.wrap(measured, path, self._batches.of_version(name, version))
            self._warm_up(servable, path, answered)
            measured.begin()
        except BaseException:
            servable.close()
            raise
        if self.options.flushes_page_cache:
            drop_from_page_cache(path)
        return servable

    def _warm_up(self, servable: Servable, path: Path, only: Collection[str] | None = None) -> None:
        """Runs a version's warm-up records, or those of some signatures.

        A native servable runs those that its engine answers; its SavedModel runs all of them when it is loaded.
        """
        if self.options.has_warmup:
            iterations = self.options.warmup_iterations
            self.metrics.measure_warmup(
                str(path), lambda: run_warmup(servable, path, num_iterations=iterations, only=only)
            )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
