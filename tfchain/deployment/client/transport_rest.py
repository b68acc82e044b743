"""The client's REST transport, on the standard library; it does not import TensorFlow."""

import base64
import http.client
import json
import ssl
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np

from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.client.security import Security
from tfchain.deployment.client.transport import RequestError, Transport, decode_texts
from tfchain.runtime.fork import renew_after_fork

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FLOATS = {"DT_FLOAT": np.float32, "DT_DOUBLE": np.float64}
_INTEGERS = {
    "DT_INT32": np.int32,
    "DT_UINT8": np.uint8,
    "DT_INT16": np.int16,
    "DT_INT8": np.int8,
    "DT_INT64": np.int64,
    "DT_UINT32": np.uint32,
    "DT_UINT64": np.uint64,
}


class RestTransport(Transport):
    """The REST transport: one persistent connection per thread.

    Args:
        url: The address, such as `http://127.0.0.1:8501`.
        timeout_seconds: The time limit of a call.
        security: TLS and the API key. Default: neither.

    Raises:
        InputError: if `url` is not an http or https address.
    """

    def __init__(self, url: str, timeout_seconds: float, security: Security | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"`rest_url` must be like 'http://127.0.0.1:8501'. Received: rest_url={url!r}.")
        self._url = url
        self._is_https = parts.scheme == "https"
        self._security = security or Security()
        self._headers = self._security.authorization
        self._context: ssl.SSLContext | None = None
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._outputs: dict[tuple[str, str, int | str | None], dict[str, str]] = {}
        renew_after_fork(self)

    def predict(
        self,
        inputs: Mapping[str, np.ndarray],
        model: str,
        signature: str | None,
        version: int | str | None,
        output_filter: Sequence[str],
    ) -> dict[str, np.ndarray]:
        """Sends the inputs in columns, and reads the outputs with the data types in the model's metadata."""
        document: dict[str, Any] = {"inputs": {name: _to_json(array) for name, array in inputs.items()}}
        if signature is not None:
            document["signature_name"] = signature
        answer = self._call("POST", _path(model, version) + ":predict", json.dumps(document).encode())
        values = json.loads(answer.decode("utf-8", "surrogateescape"))["outputs"]
        key = (model, signature or "serving_default", version)
        dtypes = self._outputs.get(key)
        if dtypes is None or not _matches(values, dtypes):
            dtypes = self._outputs[key] = self._find_outputs(*key)
        columns = {next(iter(dtypes)): values} if len(dtypes) == 1 else values
        _check_filter(output_filter, columns)
        return {name: _from_json(name, columns[name], dtypes[name]) for name in output_filter or columns}

    def metadata(self, model: str, version: int | str | None) -> dict[str, Any]:
        """Requests the metadata."""
        found: dict[str, Any] = json.loads(self._call("GET", _path(model, version) + "/metadata"))
        return found

    def status(self, model: str, version: int | None) -> dict[int, str]:
        """Requests the status."""
        found = json.loads(self._call("GET", _path(model, version)))
        return {int(entry["version"]): entry["state"] for entry in found["model_version_status"]}

    def ask(self, path: str, document: Any = None) -> Any:
        """Asks at a path that TensorFlow Serving does not have, such as `/v1/search`.

        Args:
            path: The path.
            document: What to post as JSON; None to get.

        Returns:
            The answer, read as JSON.

        Raises:
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached.
        """
        body = None if document is None else json.dumps(document).encode()
        return json.loads(self._call("GET" if body is None else "POST", path, body))

    def close(self) -> None:
        """Closes every thread's connection."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def after_fork(self) -> None:
        """Leaves the connections to the parent process: sharing a connection would mix up answers."""
        self._local = threading.local()
        self._lock = threading.Lock()
        self.close()

    def _find_outputs(self, model: str, signature: str, version: int | str | None) -> dict[str, str]:
        signatures = self.metadata(model, version)["metadata"]["signature_def"]["signature_def"]
        return {name: info["dtype"] for name, info in signatures[signature]["outputs"].items()}

    def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        try:
            status, data = self._exchange(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(
                f"The server at {self._url} cannot be reached: {error or type(error).__name__}. "
                "Check the address, and that the server is running."
            ) from error
        if status == 200:
            return data
        try:
            said = json.loads(data.decode("utf-8", "replace"))["error"]
            message = said["message"] if isinstance(said, dict) else said  # OpenAI's form, or TensorFlow Serving's
        except (ValueError, KeyError, TypeError):
            message = data.decode("utf-8", "replace")
        raise RequestError(_CODES.get(status, f"HTTP {status}"), message)

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        is_reused = connection is not None and connection.sock is not None
        if connection is None:
            connection = self._local.connection = self._connect()
            with self._lock:
                self._connections.append(connection)
        headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
        try:
            connection.request(method, self._prefix + path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except TimeoutError:
            connection.close()
            raise
        except (ConnectionError, http.client.HTTPException):
            connection.close()
            if not is_reused:
                raise
            return self._exchange(method, path, body)  # the server had closed an idle connection

    def _connect(self) -> http.client.HTTPConnection:
        if not self._is_https:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_seconds)
        with self._lock:
            if self._context is None:
                self._context = self._security.make_context()
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_seconds, context=self._context)


def _path(model: str, version: int | str | None) -> str:
    path = f"/v1/models/{quote(model, safe='')}"
    if version is None:
        return path
    return f"{path}/labels/{quote(version, safe='')}" if isinstance(version, str) else f"{path}/versions/{version}"


def _to_json(array: np.ndarray) -> Any:
    if array.dtype != object:
        return array.tolist()
    flat = np.empty(array.size, object)
    flat[:] = [_text_to_json(item) for item in array.ravel()]
    return flat.reshape(array.shape).tolist()


def _text_to_json(item: bytes) -> Any:
    try:
        return item.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(item).decode()}


def _from_json(name: str, value: Any, dtype: str) -> np.ndarray:
    if dtype in _FLOATS:
        return np.array(value, np.float64).astype(_FLOATS[dtype])
    if dtype in _INTEGERS:
        return np.array(value, _INTEGERS[dtype])
    if dtype == "DT_BOOL":
        return np.array(value, np.bool_)
    array = np.array(value, object)
    flat = np.empty(array.size, object)
    flat[:] = [_text_from_json(item) for item in array.ravel().tolist()]
    return decode_texts(name, flat.reshape(array.shape))


def _text_from_json(item: Any) -> bytes:
    if isinstance(item, dict):
        return base64.b64decode(item["b64"])
    return str(item).encode("utf-8", "surrogateescape")


def _matches(values: Any, dtypes: Mapping[str, str]) -> bool:
    """Returns whether an answer has the remembered outputs; a new version may have others."""
    if len(dtypes) == 1:
        return not isinstance(values, dict) or values.keys() == {"b64"}
    return isinstance(values, dict) and values.keys() == dtypes.keys()


def _check_filter(output_filter: Sequence[str], columns: Mapping[str, Any]) -> None:
    for name in output_filter:
        if name not in columns:
            raise RequestError(
                "INVALID_ARGUMENT",
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {{{','.join(sorted(columns))}}}.",
            )
