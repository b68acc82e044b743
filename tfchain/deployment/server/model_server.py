"""The embedded model server: the owner of source, manager, gRPC and REST."""

import contextlib
import logging
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from tfchain import __version__
from tfchain.core.errors import InputError, ServerError
from tfchain.core.observation import Monitor
from tfchain.deployment.server.admission import Gate
from tfchain.deployment.server.base_paths import find_problem
from tfchain.deployment.server.batching.batching import Batching
from tfchain.deployment.server.batching.metrics import BatchingMetrics
from tfchain.deployment.server.config import ModelConfig, check_platforms
from tfchain.deployment.server.config_file import ConfigFileWatch
from tfchain.deployment.server.grpc.server import GrpcServer
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
from tfchain.deployment.server.observing.text_metrics import make_add_gauge
from tfchain.deployment.server.observing.versions import find_version
from tfchain.deployment.server.observing.watch import Watch
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.page_cache import drop_from_page_cache
from tfchain.deployment.server.ports import PortFiles, read_port_files, warn_of_clear_keys
from tfchain.deployment.server.releases import Traffic
from tfchain.deployment.server.reload import ConfiguredModels
from tfchain.deployment.server.servables.engines import check_native, load_for_engine
from tfchain.deployment.server.servables.native import NativeServable
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.source import FileSystemSource
from tfchain.deployment.server.status import StatusError
from tfchain.deployment.server.text.endpoints import add_text_endpoints
from tfchain.deployment.server.text.feedback import add_feedback
from tfchain.deployment.server.text.search import add_search
from tfchain.deployment.server.text.search_schema import describe_search
from tfchain.deployment.server.text.token_counts import TokenCounter
from tfchain.deployment.server.warmup import run_warmup
from tfchain.deployment.server.workers.worker import GRPC_ARGUMENTS, Worker

logger = logging.getLogger(__name__)

_SETTLE_SECONDS = 60.0


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
        is_followed = options.follows_releases and options.config_file is None and not options.version_source
        self._traffic = Traffic(self.metrics.registry, is_on=is_followed)
        self._gate = Gate(options.limits.max_concurrent_requests)
        self._rest_timeout_ms = options.rest_timeout_ms if options.rest_timeout_ms > 0 else None
        self._watch: Watch | None = None

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
            self._models = self._traffic.follow_models(self.options.read_models()) if reloaded is None else reloaded
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
        make_monitor = options.observing.make_monitor
        monitor = None
        if make_monitor is not None:  # it asks for versions later, when there are some
            add_gauge = make_add_gauge(self.metrics.registry)
            monitor = make_monitor(add_gauge, lambda model, version: find_version(self._manager, model, version))
        self._start_models()
        self._start_watch(monitor)
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
            watch=self._watch,
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
            watch=self._watch,
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
            watch=self._watch,
        )
        timeout_ms = self._rest_timeout_ms
        add_search(router, self._manager, timeout_ms=timeout_ms, metrics=self.metrics, watch=self._watch)
        describe_search(document)
        if self._watch is not None:
            add_feedback(router, self._watch, document)
        document.add_to(router)
        if self.options.has_search_page:
            add_page(router)
        return router

    def _start_watch(self, monitor: Monitor | None) -> None:
        """Starts the observer's thread, which ends after the ports are closed and before the models are."""
        observing = self.options.observing
        if monitor is None and not observing.measures_texts:
            return
        counter = TokenCounter(self._manager)
        self._watch = Watch(monitor, self.metrics.registry, count_tokens=counter.count, share=observing.share)
        self._closers.append(self._watch.close)
        self._watch.start()

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
        self._closers.append(self._traffic.close)
        self._traffic.attach(self._manager)
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
        return self._traffic.watch(servable, name, version)

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
