"""The options of the embedded model server."""

from dataclasses import dataclass, field
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.core.native import NativeEngine
from tfchain.deployment.server.batching.batching import BatchingOptions
from tfchain.deployment.server.config import ModelConfig, parse_config, read_config_file
from tfchain.deployment.server.http.limits import RequestLimits
from tfchain.deployment.server.observing.options import ObservingOptions
from tfchain.deployment.server.policies import Latest, LatestOf
from tfchain.deployment.server.ports import PortOptions
from tfchain.deployment.server.servables.saved_model import LoadOptions
from tfchain.deployment.server.tracing import RequestTracer


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
        follows_releases: Whether a base path's `releases.json`, if there is one, says what is served. Default: True.
        tracer: Makes a span of each request; the server closes it. Default: none.
        observing: Who observes the texts that are answered, and how many of them. Default: nobody.
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
    follows_releases: bool = True
    tracer: RequestTracer | None = None
    observing: ObservingOptions = field(default_factory=ObservingOptions)

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
