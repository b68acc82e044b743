"""API keys over both protocols: who needs one, and what a call without one is answered."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.certificates import Certificates
from tests.conformance.conftest import API_KEY, Wire
from tfchain.deployment.client.client import Client, RequestError
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.ports import PortOptions

MISSING = "The request has no API key. Send the header `Authorization: Bearer KEY`."
SCHEME = "The authorization must be a bearer token: `Authorization: Bearer KEY`."
WRONG = "The API key is not valid."
both = pytest.mark.parametrize("protocol", ["grpc", "rest"])


@pytest.fixture(scope="module")
def channel(secure_wire: Wire, certificates: Certificates) -> Iterator[grpc.Channel]:
    credentials = grpc.ssl_channel_credentials(certificates.text("ca.pem").encode())
    with grpc.secure_channel(secure_wire.grpc_target, credentials) as made:
        yield made


@pytest.fixture(scope="module")
def context(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.path("ca.pem")))


def fetch(wire: Wire, context: ssl.SSLContext, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, str]:
    """Returns status, headers and body of an answer over HTTPS."""
    url = f"https://127.0.0.1:{wire.server.rest_port}{path}"
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def connect(wire: Wire, certificates: Certificates, api_key: str | None) -> Client:
    url = f"https://127.0.0.1:{wire.server.rest_port}"
    return Client(wire.grpc_target, url, ca_file=certificates.path("ca.pem"), api_key=api_key)


@both
@pytest.mark.parametrize("api_key", [API_KEY, "second-key"])
def test_every_key_of_the_file_opens(
    secure_wire: Wire, certificates: Certificates, protocol: str, api_key: str
) -> None:
    with connect(secure_wire, certificates, api_key) as client:
        assert client.predict({"x": np.ones(1, np.float32)}, model="hpt", protocol=protocol)["y"].tolist() == [2.5]


@both
@pytest.mark.parametrize(("api_key", "text"), [(None, MISSING), ("first-kez", WRONG), ("# ours"[2:], WRONG)])
def test_without_a_valid_key_every_call_is_refused(
    secure_wire: Wire, certificates: Certificates, protocol: str, api_key: str | None, text: str
) -> None:
    with connect(secure_wire, certificates, api_key) as client:
        for call in (client.status, client.metadata):
            with pytest.raises(RequestError) as caught:
                call("hpt", protocol=protocol)
            assert (caught.value.code, caught.value.message) == ("UNAUTHENTICATED", text)


@pytest.mark.parametrize(
    ("authorization", "text"),
    [("Basic Zmlyc3Qta2V5", SCHEME), (API_KEY, SCHEME), ("Bearer ", SCHEME), ("Bearer first-key x", WRONG)],
)
def test_another_authorization_is_named(
    secure_wire: Wire, context: ssl.SSLContext, channel: grpc.Channel, authorization: str, text: str
) -> None:
    status, headers, body = fetch(secure_wire, context, "/v1/models/hpt", Authorization=authorization)
    assert (status, json.loads(body)["error"], headers["WWW-Authenticate"]) == (401, text, "Bearer")
    call = channel.unary_unary("/tensorflow.serving.ModelService/GetModelStatus")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", metadata=(("authorization", authorization),), timeout=10)
    assert (caught.value.code().name, caught.value.details()) == ("UNAUTHENTICATED", text)


def test_the_scheme_may_have_any_case(secure_wire: Wire, context: ssl.SSLContext) -> None:
    assert fetch(secure_wire, context, "/v1/models/hpt", Authorization=f"bearer  {API_KEY} ")[0] == 200


@pytest.mark.parametrize("path", ["/live", "/ready"])
def test_watching_the_server_needs_no_key(secure_wire: Wire, context: ssl.SSLContext, path: str) -> None:
    assert fetch(secure_wire, context, path)[0] == 200


@pytest.mark.parametrize("path", ["/metrics", "/nope", "/v1/models"])
def test_all_other_paths_need_one(secure_wire: Wire, context: ssl.SSLContext, path: str) -> None:
    assert fetch(secure_wire, context, path)[0] == 401
    assert fetch(secure_wire, context, path, Authorization=f"Bearer {API_KEY}")[0] != 401


@pytest.mark.parametrize("verb", ["classify", "regress", "predict"])
def test_every_verb_needs_one(secure_wire: Wire, context: ssl.SSLContext, verb: str) -> None:
    assert fetch(secure_wire, context, f"/v1/models/hpt:{verb}", "POST")[0] == 401


@pytest.mark.parametrize(
    "method",
    [
        *(f"PredictionService/{name}" for name in ("Predict", "Classify", "Regress", "MultiInference")),
        *("PredictionService/GetModelMetadata", "ModelService/GetModelStatus"),
        "ModelService/HandleReloadConfigRequest",
    ],
)
def test_every_method_needs_one(channel: grpc.Channel, method: str) -> None:
    call = channel.unary_unary(f"/tensorflow.serving.{method}")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=10)
    assert (caught.value.code().name, caught.value.details()) == ("UNAUTHENTICATED", MISSING)
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", metadata=(("authorization", f"Bearer {API_KEY}"),), timeout=10)
    assert caught.value.code() is not grpc.StatusCode.UNAUTHENTICATED


def test_the_health_service_needs_no_key_and_reflection_does(channel: grpc.Channel) -> None:
    assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10).status == 1
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
    assert next(watch).status == 1
    watch.cancel()
    reflect = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with pytest.raises(grpc.RpcError) as caught:
        next(reflect(iter([request]), timeout=10))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    (response,) = reflect(iter([request]), metadata=(("authorization", f"Bearer {API_KEY}"),), timeout=10)
    assert response.list_services_response.service


def test_a_page_of_another_site_may_ask_and_send_its_key(secure_wire: Wire, context: ssl.SSLContext) -> None:
    status, headers, _ = fetch(secure_wire, context, "/v1/models/hpt", "OPTIONS", Origin="https://example.com")
    assert status == 200
    assert headers["Access-Control-Allow-Headers"] == "Content-Type, Authorization"
    for path, expected in (("/v1/models/hpt", 401), ("/live", 200)):  # it may read why it is refused, too
        status, headers, _ = fetch(secure_wire, context, path, Origin="https://example.com")
        assert (status, headers["Access-Control-Allow-Origin"]) == (expected, "*")


def test_refused_requests_are_counted_apart(secure_wire: Wire, context: ssl.SSLContext) -> None:
    refused, requests = secure_wire.server.metrics.refused, secure_wire.server.metrics.requests
    before, calls = refused.labels("REST").value, sum(cell.value for _, cell in requests.cells())
    assert fetch(secure_wire, context, "/v1/models/hpt")[0] == 401
    assert refused.labels("REST").value == before + 1
    assert sum(cell.value for _, cell in requests.cells()) == calls


def test_without_the_flag_an_authorization_is_ignored(wire: Wire) -> None:
    assert wire.http("GET", "/v1/models/hpt", headers={"Authorization": "Bearer whatever"}).status == 200


@pytest.mark.parametrize(("host", "warns"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_keys_in_clear_over_a_network_are_warned_of(
    base_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, host: str, warns: bool
) -> None:
    (tmp_path / "keys").write_text("key")
    ports = PortOptions(api_key_file=str(tmp_path / "keys"))
    options = ServerOptions("hpt", base_path, host=host, grpc_port=0, rest_port=0, poll_seconds=0, ports=ports)
    with ModelServer(options) as server:
        server.start()
        addresses = (f"127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}")
        for protocol in ("grpc", "rest"):
            with Client(*addresses, api_key="key") as client, Client(*addresses) as stranger:
                assert client.status("hpt", protocol=protocol) == {123: "AVAILABLE"}
                with pytest.raises(RequestError, match="UNAUTHENTICATED"):
                    stranger.status("hpt", protocol=protocol)
    warnings = [record.getMessage() for record in caplog.records if "sent in clear" in record.getMessage()]
    assert warnings == (
        [
            f"API keys are sent in clear over {protocol} at 0.0.0.0: others on the network can read them. "
            f"Use {flag}, or listen on 127.0.0.1 behind a proxy that has TLS."
            for protocol, flag in (("gRPC", "--ssl_config_file"), ("REST", "--rest_ssl_config_file"))
        ]
        if warns
        else []
    )
