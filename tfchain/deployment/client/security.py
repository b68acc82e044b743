"""How a client trusts a server, and shows the server who it is: TLS and API keys, for both protocols."""

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Security:
    """TLS and the API key of a client.

    Args:
        tls: Whether gRPC uses TLS; None for: if a CA or a certificate is given. REST uses it if its address is https.
        ca_file: PEM file of the certificates to trust; None for those that the protocol's library trusts.
        cert_file: PEM file of the client's own certificate, for servers that verify clients.
        key_file: PEM file of the certificate's private key.
        api_key: The key that each request carries, or None.

    Raises:
        InputError: if only one of certificate and key is given, or the API key cannot be sent.
    """

    tls: bool | None = None
    ca_file: Path | str | None = None
    cert_file: Path | str | None = None
    key_file: Path | str | None = None
    api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            given = "cert_file" if self.key_file is None else "key_file"
            raise InputError(
                f"A client's certificate and its key belong together. Received: `{given}` alone. "
                "Pass `cert_file` and `key_file`, or neither."
            )
        if self.tls is False and self.cert_file is not None:
            raise InputError(
                "`tls` must not be False with a client certificate. Received: tls=False and a `cert_file`."
            )
        key = self.api_key
        if key is not None and (
            not isinstance(key, str) or not key.isascii() or not key.isprintable() or key.split() != [key]
        ):
            raise InputError(
                "`api_key` must be printable ASCII without spaces, as in the server's file of keys. "
                f"Received: {'an empty text' if key == '' else f'a {type(key).__name__} that is not'}."
            )

    @property
    def has_grpc_tls(self) -> bool:
        """Whether gRPC uses TLS."""
        return self.tls if self.tls is not None else self.ca_file is not None or self.cert_file is not None

    @property
    def authorization(self) -> dict[str, str]:
        """The header, or metadata, that carries the API key; empty without a key."""
        return {} if self.api_key is None else {"authorization": f"Bearer {self.api_key}"}

    def make_context(self) -> ssl.SSLContext:
        """Makes the TLS context of REST.

        Raises:
            InputError: if a file cannot be read, or is not PEM.
        """
        for path in (self.ca_file, self.cert_file, self.key_file):
            if path is not None:
                _read(path)
        try:
            context = ssl.create_default_context(cafile=None if self.ca_file is None else os.fspath(self.ca_file))
            if self.cert_file is not None and self.key_file is not None:
                context.load_cert_chain(os.fspath(self.cert_file), os.fspath(self.key_file))
        except ssl.SSLError as error:
            raise InputError(
                f"The TLS files of a client must be PEM files that belong together. Received: ca_file={self.ca_file}, "
                f"cert_file={self.cert_file}, key_file={self.key_file} ({error.reason or 'not PEM'})."
            ) from error
        return context

    def make_credentials(self) -> Any:
        """Makes the channel credentials of gRPC.

        Raises:
            InputError: if a file cannot be read, or is not PEM.
        """
        import grpc

        self.make_context()  # it says what is wrong with a file; gRPC would fail to connect without a reason
        return grpc.ssl_channel_credentials(*(_read(path) for path in (self.ca_file, self.key_file, self.cert_file)))


def _read(path: Path | str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"A TLS file of a client must be a PEM file that can be read. Received: {path} ({error.strerror})."
        ) from error
