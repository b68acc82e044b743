"""TLS on gRPC, its UNIX socket and REST: who is let in, by which client, and what a wrong configuration says."""

import http.client
import json
import pickle
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.certificates import Certificates
from tests.conformance.conftest import API_KEY, VERSION, Wire
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.client.client import Client
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.ports import PortOptions
from tfchain.deployment.server.tls import read_tls_config

ONE = {"x": np.array([1.0], np.float32)}
both = pytest.mark.parametrize("protocol", ["grpc", "rest"])


@pytest.fixture(scope="module")
def strict_wire(
    base_path: Path, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Wire]:
    """A server that lets in only clients with a certificate of its CA."""
    config = certificates.write_config(
        tmp_path_factory.mktemp("strict") / "tls", custom_ca=certificates.text("ca.pem"), client_verify=True
    )
    ports = PortOptions(ssl_config_file=config, rest_ssl_config_file=config)
    options = ServerOptions("hpt", base_path, host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0, ports=ports)
    with ModelServer(options) as server:
        server.start()
        yield Wire(server)


def connect(wire: Wire, **security: Any) -> Client:
    return Client(wire.grpc_target, f"https://127.0.0.1:{wire.server.rest_port}", timeout_seconds=10, **security)


def predict(client: Client, protocol: str) -> list[float]:
    found: list[float] = client.predict(ONE, model="hpt", protocol=protocol)["y"].tolist()
    return found


@both
def test_a_client_that_trusts_the_ca_is_answered(secure_wire: Wire, certificates: Certificates, protocol: str) -> None:
    with connect(secure_wire, ca_file=certificates.path("ca.pem"), api_key=API_KEY) as client:
        assert predict(client, protocol) == [2.5]
        assert client.status("hpt", protocol=protocol) == {123: "AVAILABLE"}
        again = pickle.loads(pickle.dumps(client))
        assert predict(again, protocol) == [2.5]
        again.close()


@both
def test_a_client_that_trusts_another_ca_refuses_the_server(
    secure_wire: Wire, certificates: Certificates, protocol: str
) -> None:
    with (
        connect(secure_wire, ca_file=str(certificates.path("stranger.pem")), api_key=API_KEY) as client,
        pytest.raises(ServerError, match=r"cannot be reached: .*(?i:certificate.verify.failed)"),
    ):
        predict(client, protocol)


@both
def test_a_client_without_tls_gets_no_answer(secure_wire: Wire, protocol: str) -> None:
    url = f"http://127.0.0.1:{secure_wire.server.rest_port}"
    with (
        Client(secure_wire.grpc_target, url, timeout_seconds=5, api_key=API_KEY) as client,
        pytest.raises(ServerError, match="cannot be reached"),
    ):
        predict(client, protocol)


@both
def test_a_server_that_verifies_clients_asks_for_their_certificate(
    strict_wire: Wire, certificates: Certificates, protocol: str
) -> None:
    known = {"cert_file": certificates.path("client.pem"), "key_file": certificates.path("client.key")}
    unknown = {"cert_file": certificates.path("stranger.pem"), "key_file": certificates.path("stranger.key")}
    with connect(strict_wire, ca_file=certificates.path("ca.pem"), **known) as client:
        assert predict(client, protocol) == [2.5]
    for shown in ({}, unknown):
        with (
            connect(strict_wire, ca_file=certificates.path("ca.pem"), **shown) as client,
            pytest.raises(ServerError, match="cannot be reached"),
        ):
            predict(client, protocol)


def test_the_unix_socket_has_tls_too(secure_wire: Wire, certificates: Certificates) -> None:
    target = f"unix:{secure_wire.server.options.grpc_socket_path}"
    with Client(target, ca_file=certificates.path("ca.pem"), api_key=API_KEY) as client:
        assert predict(client, "grpc") == [2.5]
    with (
        Client(target, api_key=API_KEY, timeout_seconds=5) as client,
        pytest.raises(ServerError, match="cannot be reached"),
    ):
        predict(client, "grpc")


def test_a_client_in_clear_reaches_a_unix_socket_in_clear(tuned_wire: Wire) -> None:
    with Client(f"unix:{tuned_wire.server.options.grpc_socket_path}") as client:
        assert predict(client, "grpc") == [2.5]


def test_stubs_of_tensorflow_serving_reach_a_server_with_tls(strict_wire: Wire, certificates: Certificates) -> None:
    from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

    credentials = grpc.ssl_channel_credentials(
        *(certificates.text(name).encode() for name in ("ca.pem", "client.key", "client.pem"))
    )
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "hpt"
    with grpc.secure_channel(strict_wire.grpc_target, credentials) as channel:
        response = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=10)
    assert response.model_version_status[0].version == 123


def test_https_keeps_a_connection_and_ends_it_with_a_close_notify(
    secure_wire: Wire, certificates: Certificates
) -> None:
    context = ssl.create_default_context(cafile=str(certificates.path("ca.pem")))
    with (
        socket.create_connection(("127.0.0.1", secure_wire.server.rest_port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as stream,
    ):
        assert stream.version() in ("TLSv1.2", "TLSv1.3")
        stream.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        stream.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := stream.recv(65536):  # raises if the connection ends without a close_notify
            answer += piece
        assert answer.endswith(b"live\n")


def test_large_bodies_go_both_ways_over_https(secure_wire: Wire, certificates: Certificates) -> None:
    context = ssl.create_default_context(cafile=str(certificates.path("ca.pem")))
    body = json.dumps({"signature_name": "shout", "instances": ["x" * 3_000_000]}).encode()
    url = f"https://localhost:{secure_wire.server.rest_port}/v1/models/hpt:predict"
    request = urllib.request.Request(url, body, {"Authorization": f"Bearer {API_KEY}"})
    with urllib.request.urlopen(request, context=context, timeout=20) as response:
        assert len(json.loads(response.read())["predictions"][0]) == 3_000_001


def test_a_client_that_breaks_off_its_handshake_harms_no_other(secure_wire: Wire, certificates: Certificates) -> None:
    for data in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"):
        with socket.create_connection(("127.0.0.1", secure_wire.server.rest_port), timeout=5) as stream:
            stream.sendall(data)
    with connect(secure_wire, ca_file=certificates.path("ca.pem"), api_key=API_KEY) as client:
        assert predict(client, "rest") == [2.5]


def test_a_stopping_server_finishes_what_runs_over_https(
    base_path: Path, certificates: Certificates, tmp_path: Path
) -> None:
    # ssl's own `shutdown` would take the encryption away, and the last answer would leave in clear.
    ports = PortOptions(rest_ssl_config_file=certificates.write_config(tmp_path / "tls"))
    server = ModelServer(
        ServerOptions("hpt", base_path, host="127.0.0.1", grpc_port=None, rest_port=0, poll_seconds=0, ports=ports)
    )
    server.start()
    context = ssl.create_default_context(cafile=str(certificates.path("ca.pem")))
    answers: list[str] = []

    def ask() -> None:
        connection = http.client.HTTPSConnection("127.0.0.1", server.rest_port, timeout=20, context=context)
        connection.request("POST", "/v1/models/hpt:predict", b'{"signature_name": "slow", "inputs": 100000}')
        answers.append(connection.getresponse().read().decode())
        connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + 10
    while not server._manager._records["hpt"][VERSION].num_leases:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    server.close()
    thread.join(20)
    assert [json.loads(answer) for answer in answers] == [{"outputs": 100_000}]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"server_key": "ca.key"}, "`server_key` and `server_cert` in .* must belong together"),
        ({"server_key": "/etc/key.pem"}, "`server_key` in .* must be the PEM text itself, not a path"),
        ({"server_cert": "cert.pem"}, "`server_cert` in .* must be the PEM text itself, not a path"),
        ({"server_key": "encrypted.key"}, "`server_key` in .* must not be encrypted"),
        ({"server_key": ""}, "`server_key` in .* must be set"),
        ({"server_cert": ""}, "`server_cert` in .* must be set"),
        ({"client_verify": True}, "`client_verify` in .* needs `custom_ca`"),
        ({"client_verify": True, "custom_ca": "x"}, "`custom_ca` in .* must be certificates in PEM"),
    ],
)
def test_a_wrong_configuration_is_named(
    certificates: Certificates, tmp_path: Path, fields: dict[str, Any], error: str
) -> None:
    named = {
        name: certificates.text(value) if isinstance(value, str) and certificates.path(value).is_file() else value
        for name, value in fields.items()
    }
    with pytest.raises(InputError, match=error):
        read_tls_config(certificates.write_config(tmp_path / "tls", **named))


def test_a_damaged_key_and_an_unknown_field_are_named(certificates: Certificates, tmp_path: Path) -> None:
    damaged = certificates.text("server.key").replace("M", "!", 2)
    with pytest.raises(InputError, match="The TLS key or certificate in .* cannot be read"):
        read_tls_config(certificates.write_config(tmp_path / "tls", server_key=damaged))
    with pytest.raises(InputError, match='(?s)Invalid protobuf file: .*has no field named "sever_key"'):
        read_tls_config(certificates.write_config(tmp_path / "tls", sever_key="x"))
    with pytest.raises(InputError, match="nope cannot be read: No such file"):
        read_tls_config(tmp_path / "nope")


def test_the_servers_key_is_not_in_its_representation(certificates: Certificates, tmp_path: Path) -> None:
    config = read_tls_config(certificates.write_config(tmp_path / "tls"))
    assert "PRIVATE KEY" not in repr(config)


def test_a_wrong_pair_stops_the_start_before_loading(
    base_path: Path, certificates: Certificates, tmp_path: Path
) -> None:
    config = certificates.write_config(tmp_path / "tls", server_key=certificates.text("client.key"))
    for ports in (PortOptions(ssl_config_file=config), PortOptions(rest_ssl_config_file=config)):
        with pytest.raises(InputError, match="must belong together"):
            ModelServer(ServerOptions("hpt", base_path, host="127.0.0.1", ports=ports)).check()
