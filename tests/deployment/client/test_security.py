"""A client's TLS files and API key; what a server does with them is tested on the wire."""

from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificates, make_certificates
from tfchain.core.errors import InputError
from tfchain.deployment.client.client import Client
from tfchain.deployment.client.security import Security

both = pytest.mark.parametrize("protocol", ["grpc", "rest"])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(
    ("options", "has_tls"),
    [
        ({}, False),
        ({"tls": True}, True),
        ({"ca_file": "ca.pem"}, True),
        ({"ca_file": "ca.pem", "tls": False}, False),
        ({"cert_file": "a", "key_file": "b"}, True),
    ],
)
def test_grpc_has_tls_if_files_are_given_unless_it_is_said(options: dict[str, Any], has_tls: bool) -> None:
    assert Security(**options).has_grpc_tls is has_tls


def test_the_key_is_a_bearer_token_and_not_in_the_representation() -> None:
    security = Security(api_key="secret")
    assert security.authorization == {"authorization": "Bearer secret"}
    assert "secret" not in repr(security)
    assert Security().authorization == {}


def test_rest_trusts_the_given_ca_alone(certificates: Certificates) -> None:
    context = Security(ca_file=certificates.path("ca.pem")).make_context()
    assert [authority["subject"] for authority in context.get_ca_certs()] == [((("commonName", "ca"),),)]


@pytest.mark.parametrize(
    ("security", "error"),
    [
        ({"cert_file": "a"}, "certificate and its key belong together. Received: `cert_file` alone"),
        ({"key_file": "a"}, "Received: `key_file` alone"),
        ({"cert_file": "a", "key_file": "b", "tls": False}, "`tls` must not be False with a client certificate"),
        ({"api_key": "a b"}, "`api_key` must be printable ASCII without spaces"),
        ({"api_key": ""}, "Received: an empty text"),
        ({"api_key": "a\n"}, "`api_key` must be printable ASCII"),
    ],
)
def test_a_client_names_what_it_cannot_send(security: dict[str, Any], error: str) -> None:
    with pytest.raises(InputError, match=error) as caught:
        Client(rest_url="https://127.0.0.1:1", **security)
    assert "a b" not in str(caught.value)


@both
def test_a_client_names_a_file_that_is_not_pem(certificates: Certificates, tmp_path: Path, protocol: str) -> None:
    (tmp_path / "x").write_text("x")
    wrong = ({"ca_file": tmp_path / "x"}, {"cert_file": tmp_path / "x", "key_file": certificates.path("client.key")})
    for security in wrong:
        with (
            Client("127.0.0.1:1", "https://127.0.0.1:1", **security) as client,
            pytest.raises(InputError, match="must be PEM files that belong together"),
        ):
            client.status("hpt", protocol=protocol)
    with (
        Client("127.0.0.1:1", "https://127.0.0.1:1", ca_file=tmp_path / "nope") as client,
        pytest.raises(InputError, match="must be a PEM file that can be read. Received: .*nope"),
    ):
        client.status("hpt", protocol=protocol)
