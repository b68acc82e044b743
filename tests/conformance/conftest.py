"""One model with many signatures, served over real sockets for all tests of the wire."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates, make_certificates
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.ports import PortOptions
from tfchain.deployment.server.servables.saved_model import LoadOptions

VERSION = 123
API_KEY = "first-key"


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def error(self) -> str:
        return json.loads(self.text)["error"]


@dataclass(frozen=True)
class Wire:
    """A running server, and plain ways to talk to it."""

    server: ModelServer

    def http(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.rest_port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read().decode("utf-8", "surrogateescape"),
            )
        finally:
            connection.close()

    def predict(self, body: str | bytes, path: str = "/v1/models/hpt:predict") -> Reply:
        return self.http("POST", path, body.encode() if isinstance(body, str) else body)

    @property
    def grpc_target(self) -> str:
        return f"127.0.0.1:{self.server.grpc_port}"


def make_module() -> Any:
    """Builds the model: affine floats, texts, two inputs, two outputs, one signature a data type, an XLA function."""
    import tensorflow as tf

    def spec(dtype: Any, name: str, shape: list[int | None] | None = None) -> Any:
        return tf.TensorSpec([None] if shape is None else shape, dtype, name=name)

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = tf.Variable(0.5)
            self.kernel = tf.Variable([[1.0], [10.0]])

        @tf.function(input_signature=[spec(tf.float32, "x")])
        def affine(self, x: Any) -> Any:
            return {"y": self.slope * x + 2.0}

        @tf.function(input_signature=[spec(tf.string, "text")])
        def shout(self, text: Any) -> Any:
            return {"loud": text + "!"}

        @tf.function(input_signature=[spec(tf.string, "text")])
        def raw(self, text: Any) -> Any:
            return {"image_bytes": text}

        @tf.function(input_signature=[spec(tf.float32, "a"), spec(tf.float32, "b")])
        def pair(self, a: Any, b: Any) -> Any:
            return {"total": a + b}

        @tf.function(input_signature=[spec(tf.float32, "x")])
        def two(self, x: Any) -> Any:
            return {"double": x * 2.0, "is_positive": x > 0.0}

        @tf.function(input_signature=[spec(tf.float32, "x", [None, 2])])
        def matrix(self, x: Any) -> Any:
            return {"y": tf.matmul(x, self.kernel)}

        @tf.function(input_signature=[spec(tf.float32, "x")])
        def scalar(self, x: Any) -> Any:
            return {"s": tf.reduce_sum(x)}

        @tf.function(input_signature=[spec(tf.float32, "x")])
        def uneven(self, x: Any) -> Any:
            return {"p": x, "q": tf.concat([x, x], 0)}

        @tf.function(jit_compile=True)
        def compiled(self, x: Any) -> Any:
            return x * 3.0

        @tf.function(input_signature=[spec(tf.float32, "x")])
        def xla(self, x: Any) -> Any:
            return {"plain": x + 1.0, "triple": self.compiled(x)}

        @tf.function(input_signature=[spec(tf.int32, "steps", [])])
        def slow(self, steps: Any) -> Any:
            (n,) = tf.while_loop(lambda i: i < steps, lambda i: [i + 1], [tf.constant(0)], parallel_iterations=1)
            return {"n": n}

    module = Module()
    signatures = {
        "serving_default": module.affine,
        **{
            name: getattr(module, name)
            for name in ("shout", "raw", "pair", "two", "matrix", "scalar", "uneven", "xla", "slow")
        },
    }
    echoes = {
        dtype.name: tf.function(lambda x: {"y": tf.identity(x)}, input_signature=[spec(dtype, "x")])
        for dtype in (tf.float32, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.float64, tf.bool, tf.half)
    }
    module.echoes = echoes
    return module, {**signatures, **echoes}


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with one version of the model."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("models") / "hpt"
    module, signatures = make_module()
    tf.saved_model.save(module, str(folder / str(VERSION)), signatures=signatures)
    return folder


@pytest.fixture(scope="session")
def wire(base_path: Path) -> Iterator[Wire]:
    """The server with stock's defaults."""
    with ModelServer(
        ServerOptions("hpt", base_path, host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0)
    ) as server:
        server.start()
        yield Wire(server)


@pytest.fixture(scope="session")
def tuned_wire(base_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A server with a short REST timeout, CORS headers, raw bytes over gRPC, a UNIX socket, and XLA."""
    options = ServerOptions(
        "hpt",
        base_path,
        host="127.0.0.1",
        grpc_port=0,
        rest_port=0,
        poll_seconds=0,
        grpc_socket_path=str(tmp_path_factory.mktemp("socket") / "grpc"),
        rest_timeout_ms=300,
        has_cors=True,
        as_content=True,
        load=LoadOptions(is_xla_enabled=True),
    )
    with ModelServer(options) as server:
        server.start()
        yield Wire(server)


@pytest.fixture(scope="session")
def graph_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with one version of a model of TensorFlow 1 that reads `tf.Example`s."""
    from tests.conformance.example_models import write_graph

    folder = tmp_path_factory.mktemp("models") / "graph"
    write_graph(folder / str(VERSION))
    return folder


@pytest.fixture(scope="session")
def graph(graph_path: Path) -> Iterator[Any]:
    """Ways to ask that model."""
    from tests.conformance.example_models import Asker

    options = ServerOptions("graph", graph_path, host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0)
    with ModelServer(options) as server:
        server.start()
        yield Asker(Wire(server), "graph")


@pytest.fixture(scope="session")
def checked_graph(graph_path: Path) -> Iterator[Any]:
    """Ways to ask that model where method names are checked, and REST requests have little time."""
    from tests.conformance.example_models import Asker

    options = ServerOptions(
        "graph",
        graph_path,
        host="127.0.0.1",
        grpc_port=0,
        rest_port=0,
        poll_seconds=0,
        rest_timeout_ms=300,
        load=LoadOptions(checks_method_names=True),
    )
    with ModelServer(options) as server:
        server.start()
        yield Asker(Wire(server), "graph")


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Ways to ask a model of TensorFlow 2 that reads `tf.Example`s."""
    from tests.conformance.example_models import Asker, write_module

    folder = tmp_path_factory.mktemp("models") / "module"
    write_module(folder / str(VERSION))
    options = ServerOptions("module", folder, host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0)
    with ModelServer(options) as server:
        server.start()
        yield Asker(Wire(server), "module")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA, and certificates of a server, a client and a stranger."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def secure_wire(
    base_path: Path, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Wire]:
    """A server with TLS on both ports and the UNIX socket, API keys, health, and channel arguments."""
    folder = tmp_path_factory.mktemp("secure")
    config = certificates.write_config(folder / "tls.pbtxt")
    keys = folder / "keys.txt"
    keys.write_text(f"# ours\n{API_KEY}\n\nsecond-key\n")
    ports = PortOptions(
        ssl_config_file=config,
        rest_ssl_config_file=config,
        api_key_file=str(keys),
        has_health=True,
        grpc_arguments=(("grpc.so_reuseaddr", 1), ("grpc.primary_user_agent", "a text")),
    )
    options = ServerOptions(
        "hpt",
        base_path,
        host="127.0.0.1",
        grpc_port=0,
        rest_port=0,
        poll_seconds=0,
        has_cors=True,
        grpc_socket_path=str(folder / "grpc"),
        ports=ports,
    )
    with ModelServer(options) as server:
        server.start()
        yield Wire(server)


@pytest.fixture(scope="session")
def watched_wire(base_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A server that serves health, and TensorFlow Serving's metrics at a path of its own."""
    config = tmp_path_factory.mktemp("watched") / "monitoring.pbtxt"
    config.write_text('prometheus_config { enable: true path: "/stock/metrics" }')
    options = ServerOptions(
        "hpt",
        base_path,
        host="127.0.0.1",
        grpc_port=0,
        rest_port=0,
        poll_seconds=0,
        ports=PortOptions(monitoring_config_file=str(config), has_health=True),
    )
    with ModelServer(options) as server:
        server.start()
        yield Wire(server)
