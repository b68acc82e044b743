"""TLS of the server's ports: a key, a certificate and a CA from a text proto, checked before a port is opened."""

import socket
import ssl
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.deployment.server.text_proto import make_message, read_text_proto

HANDSHAKE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """A port's key and certificate, as in TensorFlow Serving's `SSLConfig`.

    Args:
        path: The file that they were read from.
        server_key: The server's private key, PEM.
        server_cert: The server's certificate, followed by its intermediate certificates, PEM.
        custom_ca: The certificates that sign clients' certificates, PEM; empty for none.
        client_verify: Whether clients must show a certificate that `custom_ca` signed.
    """

    path: Path
    server_key: str = field(repr=False)
    server_cert: str
    custom_ca: str = ""
    client_verify: bool = False

    def make_context(self) -> ssl.SSLContext:
        """Makes Python's server-side context.

        Raises:
            InputError: if key and certificate are not PEM, or do not belong together.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _TlsSocket
        with tempfile.TemporaryDirectory(prefix="tfchain-tls-") as folder:  # OpenSSL reads them from files only
            key, certificate = Path(folder) / "key.pem", Path(folder) / "cert.pem"
            key.touch(mode=0o600)
            key.write_text(self.server_key, encoding="utf-8")
            certificate.write_text(self.server_cert, encoding="utf-8")
            try:
                context.load_cert_chain(certificate, key, password=_refuse_password)
            except _EncryptedKeyError as error:
                raise InputError(
                    f"`server_key` in {self.path} must not be encrypted: a server cannot ask for its password. "
                    "Decrypt it with `openssl pkey`."
                ) from error
            except ssl.SSLError as error:
                raise self._to_error(error) from error
        if self.client_verify:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(cadata=self.custom_ca)
            except (ssl.SSLError, ValueError) as error:
                raise InputError(
                    f"`custom_ca` in {self.path} must be certificates in PEM. Received: {error}. "
                    "Paste the text of the CA's certificate, with \\n for line ends."
                ) from error
        return context

    def _to_error(self, error: ssl.SSLError) -> InputError:
        if error.reason == "KEY_VALUES_MISMATCH":
            return InputError(
                f"`server_key` and `server_cert` in {self.path} must belong together. Received: a key of another "
                "certificate. The server's own certificate comes first, and its intermediate certificates after it."
            )
        for name, text, mark in (
            ("server_key", self.server_key, "PRIVATE KEY-----"),
            ("server_cert", self.server_cert, "-----BEGIN CERTIFICATE-----"),
        ):
            if mark not in text:
                return InputError(
                    f"`{name}` in {self.path} must be the PEM text itself, not a path, with \\n for line ends. "
                    f"Received: {len(text)} characters without {mark!r}."
                )
        return InputError(
            f"The TLS key or certificate in {self.path} cannot be read: the lines between BEGIN and END are damaged, "
            f"or of a kind that OpenSSL does not know ({error.reason or 'not PEM'}). Copy the whole PEM text."
        )


def read_tls_config(path: Path | str) -> TlsConfig:
    """Reads and checks a TLS configuration: a text proto of TensorFlow Serving's `SSLConfig`.

    Raises:
        InputError: if the file is not such a text proto, or its key and certificates cannot be used.
    """
    proto = read_text_proto(path, make_message("ssl_config", "SSLConfig"))
    for name in ("server_key", "server_cert"):
        if not getattr(proto, name):
            raise InputError(
                f"`{name}` in {path} must be set: a server needs its own key and certificate, as PEM text."
            )
    if proto.client_verify and not proto.custom_ca:
        raise InputError(
            f"`client_verify` in {path} needs `custom_ca`: the certificate of the CA that signs clients' certificates."
        )
    config = TlsConfig(Path(path), proto.server_key, proto.server_cert, proto.custom_ca, proto.client_verify)
    config.make_context()
    return config


def shake_hands(stream: ssl.SSLSocket) -> None:
    """Does a new connection's TLS handshake; a client that takes too long, or is refused, is disconnected.

    Raises:
        OSError: if the handshake failed.
    """
    timeout = stream.gettimeout()
    try:
        stream.settimeout(HANDSHAKE_SECONDS)
        stream.do_handshake()
        stream.settimeout(timeout)
    except BaseException:
        stream.close()
        raise


class _TlsSocket(ssl.SSLSocket):
    """A server's TLS socket that another thread may shut down.

    `ssl.SSLSocket.shutdown` drops the encryption from the socket: what a running request sends afterwards would go out
    in clear. This one shuts down the connection below, and leaves the encryption in place.
    """

    def shutdown(self, how: int) -> None:
        """Shuts down the connection; the end of writing is announced to the client in TLS first."""
        if how == socket.SHUT_WR:
            with suppress(OSError, ValueError):
                self.settimeout(0.0)
                self.unwrap()
        socket.socket.shutdown(self, how)


class _EncryptedKeyError(Exception):
    """A private key asks for a password."""


def _refuse_password() -> str:
    raise _EncryptedKeyError
