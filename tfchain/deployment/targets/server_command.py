"""The command line of a server in a container: stock TensorFlow Serving, or tfchain's own."""

from dataclasses import dataclass
from urllib.parse import quote

STOCK = "stock"
OWN = "own"
SERVERS = (STOCK, OWN)
GRPC_PORT = 8500
REST_PORT = 8501
_PROGRAMS = {STOCK: "/usr/bin/tensorflow_model_server", OWN: "tfchain-model-server"}
METRICS_PATHS = {STOCK: "/monitoring/prometheus/metrics", OWN: "/metrics"}
MONITORING = f'prometheus_config {{ enable: true path: "{METRICS_PATHS[STOCK]}" }}\n'


@dataclass(frozen=True)
class ServerCommand:
    """How a server is started.

    Args:
        server: `stock` or `own`.
        model_name: The model's name.
        base_path: The folder of version folders, as the container sees it.
        threads: Threads within an op, and across ops: the processors of the container, which the server does not see
            itself: it counts those of the machine. 0 leaves them to the server, where it may have all of the machine.
        grpc_port: The gRPC port; 0 for none. Default: 8500.
        rest_port: The REST port. Default: 8501.
        engine: What answers in tfchain's server. Default: `auto`.
        monitoring_file: The file that turns the stock server's metrics on. Default: none.
        batching_file: The file with the parameters of batching. Default: none, no batching.
        api_key_file: The file of API keys, for tfchain's server. Default: none.
    """

    server: str
    model_name: str
    base_path: str
    threads: int
    grpc_port: int = GRPC_PORT
    rest_port: int = REST_PORT
    engine: str = "auto"
    monitoring_file: str = ""
    batching_file: str = ""
    api_key_file: str = ""

    @property
    def program(self) -> str:
        """The program in the container."""
        return _PROGRAMS[self.server]

    def arguments(self) -> list[str]:
        """Returns the program's arguments."""
        flags: dict[str, object] = {
            "port": self.grpc_port,
            "rest_api_port": self.rest_port,
            "model_name": self.model_name,
            "model_base_path": self.base_path,
            "file_system_poll_wait_seconds": 0,  # a container has one version, and it does not change
            "max_num_load_retries": 0,  # a version that does not load is an error at once, not after five minutes
        }
        if self.threads:
            flags |= {"tensorflow_intra_op_parallelism": self.threads, "tensorflow_inter_op_parallelism": self.threads}
            flags["rest_api_num_threads"] = 4 * self.threads
        if self.server == OWN:
            flags["engine"] = self.engine
        if self.monitoring_file and self.server == STOCK:
            flags["monitoring_config_file"] = self.monitoring_file
        if self.batching_file:
            flags |= {"enable_batching": "true", "batching_parameters_file": self.batching_file}
        if self.api_key_file and self.server == OWN:
            flags["api_key_file"] = self.api_key_file
        return [f"--{name}={value}" for name, value in flags.items()]


def status_path(model_name: str, version: int | None = None) -> str:
    """Returns the path of the REST API that says whether a model, or one version of it, answers."""
    path = f"/v1/models/{quote(model_name, safe='')}"
    return path if version is None else f"{path}/versions/{version}"
