"""A client for servers with TensorFlow Serving's protocols and any task: NumPy arrays in and out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.texts import check_texts, replace_surrogates
from tfchain.deployment.client.security import Security
from tfchain.deployment.client.transport import RequestError, Transport
from tfchain.deployment.client.transport_grpc import GrpcTransport
from tfchain.deployment.client.transport_rest import RestTransport

__all__ = ["Client", "RequestError"]


class Client:
    """A client for predictions of a TensorFlow Serving, stock or embedded. Threads may share it.

    Chains have their own clients, which inherit from this class, such as `tfchain.Client`, which searches.

    Importing and making a client is quick. The first call over gRPC imports TensorFlow, which the stubs of
    tensorflow-serving-api need; calls over REST never import it.

    Args:
        grpc_target: The gRPC address, such as `"127.0.0.1:8500"` or `"unix:/run/model.sock"`, or None.
        rest_url: The REST address, such as `"http://127.0.0.1:8501"` or `"https://models.example.com"`, or None.
        timeout_seconds: The time limit of a call. Default: 30.
        tls: Whether gRPC uses TLS. Default: if `ca_file` or `cert_file` is given. REST uses it if its address is https.
        ca_file: A PEM file of the certificates to trust, such as a server's own. Default: those that gRPC and Python
            trust.
        cert_file: A PEM file of the client's certificate, for servers that verify clients. Default: None.
        key_file: A PEM file of the certificate's private key. Default: None.
        api_key: A key that each request carries as a bearer token, for servers that ask for one. Default: None.

    Raises:
        InputError: if neither address is given, or certificate and key are not both given.

    Example:
        with Client(rest_url="http://127.0.0.1:8501") as client:
            client.predict({"text": ["how do I merge two sorted lists"]}, model="docs")["texts"]
    """

    def __init__(
        self,
        grpc_target: str | None = None,
        rest_url: str | None = None,
        *,
        timeout_seconds: float = 30.0,
        tls: bool | None = None,
        ca_file: Path | str | None = None,
        cert_file: Path | str | None = None,
        key_file: Path | str | None = None,
        api_key: str | None = None,
    ) -> None:
        if grpc_target is None and rest_url is None:
            raise InputError(
                "A client must have a `grpc_target` or a `rest_url`. Received: neither. "
                "Pass the server's address, such as rest_url='http://127.0.0.1:8501'."
            )
        self._address = (grpc_target, rest_url, timeout_seconds)
        self._security = security = Security(tls, ca_file, cert_file, key_file, api_key)
        self._transports: dict[str, Transport] = {}
        if grpc_target is not None:
            self._transports["grpc"] = GrpcTransport(grpc_target, timeout_seconds, security)
        if rest_url is not None:
            self._transports["rest"] = RestTransport(rest_url, timeout_seconds, security)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles and copies as a client of the same addresses, with its own connections."""
        return _connect, (type(self), *self._address, self._security)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        for transport in self._transports.values():
            transport.close()

    def predict(
        self,
        inputs: Mapping[str, Any],
        *,
        model: str,
        signature: str | None = None,
        version: int | str | None = None,
        output_filter: Sequence[str] | None = None,
        protocol: str | None = None,
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            inputs: Arrays, lists or scalars by input name. Text as `str` or `bytes`; half a surrogate pair is replaced
                by the replacement character, as in a chain. Over gRPC the data types must be those of the signature.
            model: The model's name.
            signature: The signature; None for `serving_default`.
            version: The version, or its label, such as `"stable"`; None for the latest.
            output_filter: The outputs to return; None for all.
            protocol: `"grpc"` or `"rest"`; None for gRPC if the client has a gRPC address, else REST.

        Returns:
            Arrays by output name. Texts are `str` in object arrays; texts that are not UTF-8, and outputs whose name
            ends in `_bytes`, are `bytes`.

        Raises:
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached.
        """
        arrays = {name: _to_array(name, value) for name, value in inputs.items()}
        return self._transport(protocol).predict(arrays, model, signature, version, list(output_filter or ()))

    def metadata(self, model: str, *, version: int | str | None = None, protocol: str | None = None) -> dict[str, Any]:
        """Returns a model's signatures, in the form of TensorFlow Serving's REST API.

        Raises:
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached.
        """
        return self._transport(protocol).metadata(model, version)

    def status(self, model: str, *, version: int | None = None, protocol: str | None = None) -> dict[int, str]:
        """Returns the states of a model's versions, such as `{2: "AVAILABLE", 1: "END"}`.

        Raises:
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached.
        """
        return self._transport(protocol).status(model, version)

    def embed(
        self, texts: str | Sequence[str], *, model: str, version: int | str | None = None, protocol: str | None = None
    ) -> np.ndarray:
        """Encodes texts with an exported model.

        Args:
            texts: A text, or several; texts may be empty.
            model: The model's name.
            version: The version, or its label, such as `"stable"`; None for the latest.
            protocol: `"grpc"` or `"rest"`; None to choose.

        Returns:
            Vectors, float32 `(texts, dim)`.

        Raises:
            InputError: if an item is not a string, as in a chain's `encode`.
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached.
        """
        texts = [texts] if isinstance(texts, str) else check_texts(texts)
        if not texts:
            return np.zeros((0, self._find_dim(model, version, protocol)), np.float32)
        outputs = self.predict({"text": texts}, model=model, signature="embed", version=version, protocol=protocol)
        return np.asarray(outputs["embedding"], np.float32)

    def _find_dim(self, model: str, version: int | str | None, protocol: str | None) -> int:
        """Returns the width of a model's vectors from its signature."""
        signatures = self.metadata(model, version=version, protocol=protocol)["metadata"]["signature_def"]
        try:
            shape = signatures["signature_def"]["embed"]["outputs"]["embedding"]["tensor_shape"]
            dim = int(shape["dim"][-1]["size"])
        except (KeyError, IndexError):
            dim = -1
        if dim < 0:
            raise InputError(
                f"`embed` needs at least one text for a model that does not declare the width of its vectors. "
                f"Received: none for {model!r}. Pass a list of texts."
            )
        return dim

    def _transport(self, protocol: str | None) -> Transport:
        if protocol is None:
            return next(iter(self._transports.values()))
        if protocol not in self._transports:
            raise InputError(
                f"`protocol` must be a protocol with an address. Received: protocol={protocol!r}, "
                f"addresses for {sorted(self._transports)}. Pass `grpc_target` or `rest_url` to the client."
            )
        return self._transports[protocol]


def _to_array(name: str, value: Any) -> np.ndarray:
    """Makes an array that the protocols can send; text becomes bytes in an object array."""
    array = value if isinstance(value, np.ndarray) else np.array(value, dtype=object)
    if not isinstance(value, np.ndarray) and not isinstance(next(iter(array.flat), None), str | bytes):
        try:
            numbers = np.asarray(value)
            array = numbers if numbers.dtype.kind not in "US" else array  # NumPy makes a mix of types all texts
        except ValueError as error:
            raise InputError(
                f"Input {name!r} must be nested lists of equal lengths. Received: {error}. Pad the shorter lists."
            ) from error
    if array.dtype.kind not in "USO":
        return array
    flat = np.empty(array.size, object)
    flat[:] = [replace_surrogates(item).encode() if isinstance(item, str) else item for item in array.ravel().tolist()]
    for item in flat:
        if not isinstance(item, bytes):
            raise InputError(
                f"Input {name!r} must hold only numbers, or only texts. Received: {item!r} of type "
                f"{type(item).__name__}. Convert it."
            )
    return flat.reshape(array.shape)


def _connect(
    kind: type[Client], grpc_target: str | None, rest_url: str | None, timeout_seconds: float, security: Security
) -> Client:
    return kind(grpc_target, rest_url, timeout_seconds=timeout_seconds, **asdict(security))
