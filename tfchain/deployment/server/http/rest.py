"""The REST API: maps a request's method, path and body to a call of the manager, and the result to an answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import numpy as np

from tfchain.deployment.server.http.inference import answer_inference
from tfchain.deployment.server.http.limits import BodyError, BodyTooLargeError, RequestLimits, unpack_gzip
from tfchain.deployment.server.json.proto import write_metadata, write_status
from tfchain.deployment.server.json.request import read_predict_request
from tfchain.deployment.server.json.response import write_predict_response
from tfchain.deployment.server.json.text import INDENT, quote
from tfchain.deployment.server.manager import Manager, ModelSpec
from tfchain.deployment.server.metrics.serving import Call, ServingMetrics
from tfchain.deployment.server.observing.predictions import observe_prediction
from tfchain.deployment.server.observing.watch import Watch
from tfchain.deployment.server.predict import DEFAULT_SIGNATURE, predict
from tfchain.deployment.server.servables.deadline import Deadline
from tfchain.deployment.server.servables.servable import TensorSpec
from tfchain.deployment.server.status import HTTP_STATUS, invalid_argument, to_status

_API = re.compile(r"/v1/.*", re.IGNORECASE | re.ASCII)
_VERSION = r"(?:(?:/versions/(?P<version>\d+))|(?:/labels/(?P<label>[^/:]+)))?"
_POST = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<verb>classify|regress|predict)", re.IGNORECASE | re.ASCII
)
_GET = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<part>metadata))?", re.IGNORECASE | re.ASCII)
_MOST_DIGITS = 19  # of an int64
_JSON = "application/json"
_CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)
_NOT_FOUND_PAGE = b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer.

    Args:
        status: The HTTP status.
        headers: Pairs of header name and value.
        body: The body.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Target:
    """The model that a path names, and the verb or sub-resource after it."""

    spec: ModelSpec
    action: str


class RestApi:
    """Answers HTTP requests as TensorFlow Serving's REST API does.

    Args:
        manager: The manager of the models.
        timeout_ms: The time limit of a request; None for no limit. Default: 30,000.
        has_cors: Whether answers carry the headers that let pages of other sites read them. Default: False.
        takes_keys: Whether these pages may send an API key, which a stock server does not know. Default: False.
        metrics: Counts the calls. Default: metrics of its own.
        limits: The limits of a request. Default: those of `RequestLimits`.
        watch: Observes the texts that are answered. Default: nobody does.

    Attributes:
        cors_headers: The headers that let pages of other sites read answers; empty without `has_cors`.
    """

    def __init__(
        self,
        manager: Manager,
        *,
        timeout_ms: int | None = 30_000,
        has_cors: bool = False,
        takes_keys: bool = False,
        metrics: ServingMetrics | None = None,
        limits: RequestLimits | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._manager = manager
        self._timeout_ms = timeout_ms
        self._metrics = metrics or ServingMetrics()
        self._limits = limits or RequestLimits()
        self._watch = watch
        cors = (*_CORS[:2], (_CORS[2][0], f"{_CORS[2][1]}, Authorization")) if takes_keys else _CORS
        self.cors_headers = cors if has_cors else ()
        self._headers = (("Content-Type", _JSON), *self.cors_headers)

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, deadline: Deadline | None = None
    ) -> Answer:
        """Answers a request.

        Args:
            method: The HTTP method, such as `POST`.
            target: The path as sent, percent-encoded, with `?` and the query, if any.
            headers: The request's headers, by lower-case name.
            body: The request's body as sent.
            deadline: When it must be answered. Default: after the API's time limit.
        """
        if _API.fullmatch(target) is None:
            return Answer(404, (("Content-Type", "text/html"),), _NOT_FOUND_PAGE)
        if method == "OPTIONS":
            has_origin = headers.get("origin", "").startswith(("http://", "https://"))
            self._metrics.requests.labels("", "OK" if has_origin else "FAILED_PRECONDITION").add()
            return Answer(200 if has_origin else 400, self._headers, b"")
        try:
            with Call(self._metrics, "REST") as call:
                text = self._dispatch(method, target, headers, body, call, deadline or Deadline(self._timeout_ms))
        except Exception as error:
            status = to_status(error)
            text = f'{{\n{INDENT}"error": {quote(status.message)}\n}}'.encode("utf-8", "surrogateescape")
            http_status = 413 if isinstance(error, BodyTooLargeError) else HTTP_STATUS[status.code]
            return Answer(http_status, self._headers, text)
        return Answer(200, self._headers, text)

    def _dispatch(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, call: Call, deadline: Deadline
    ) -> bytes:
        found = _find_target(method, target)
        call.model, call.api = found.spec.name, found.action if method == "POST" else ""
        if found.action == "predict":
            return self._predict(found.spec, headers, self._inflate(headers, body), call, deadline)
        if found.action in ("classify", "regress"):
            body = self._inflate(headers, body)
            return answer_inference(
                self._manager, found.spec, found.action, body, deadline, self._metrics, self._limits
            )
        if found.action == "metadata":
            with self._manager.lend(found.spec) as lease:
                return write_metadata(lease.name, lease.version, lease.servable.signature_defs).encode()
        statuses = self._manager.statuses(found.spec.name, found.spec.version)  # ignores labels, like a stock server
        return write_status(statuses).encode()

    def _predict(
        self, spec: ModelSpec, headers: Mapping[str, str], body: bytes, call: Call, deadline: Deadline
    ) -> bytes:
        lease = None
        try:

            def find_inputs(signature_name: str) -> Mapping[str, TensorSpec]:
                nonlocal lease
                lease = self._manager.lend(spec)
                signature = lease.servable.signatures.get(signature_name or DEFAULT_SIGNATURE)
                if signature is None:
                    raise invalid_argument(
                        f'Serving signature name: "{signature_name or DEFAULT_SIGNATURE}" not found in signature def'
                    )
                return signature.inputs

            limits = self._limits
            request = read_predict_request(body, find_inputs, max_rows=limits.max_rows, max_depth=limits.max_json_depth)
            assert lease is not None  # read_predict_request calls find_inputs, or raises
            prediction = predict(
                lease.servable,
                request.signature_name,
                request.inputs,
                to_array=_unchanged,
                timeout_ms=deadline.left_ms(),
                max_rows=limits.max_rows,
            )
            self._metrics.count_run(lease.name, "Predict", prediction.run_seconds)
            written = write_predict_response(prediction.outputs, is_row_format=request.is_row_format)
            if self._watch is not None:
                observe_prediction(self._watch, lease, prediction, call.seconds, headers)
            return written
        finally:
            if lease is not None:
                lease.__exit__(None, None, None)

    def _inflate(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """Unpacks a gzip body; a broken body becomes empty, as in the stock server."""
        if "gzip" not in headers.get("content-encoding", ""):
            return body
        try:
            inflated, is_whole = unpack_gzip(body, self._limits.max_body_bytes, may_have_more=True)
        except BodyError:
            return b""
        return inflated if is_whole else b""


def find_route(method: str, target: str) -> str:
    """Returns the pattern of a path, such as `/v1/models/{model}:predict`; empty for a path that the API does not have.

    Args:
        method: The HTTP method.
        target: The path as sent.
    """
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    match = pattern.fullmatch(target) if pattern is not None else None
    if match is None:
        return ""
    named = match.groupdict()
    route = "/v1/models/{model}" if named["name"] else "/v1/models"
    route += "/versions/{version}" if named["version"] else "/labels/{label}" if named["label"] else ""
    if method == "POST":
        return f"{route}:{match['verb'].lower()}"
    return f"{route}/metadata" if named["part"] else route


def _unchanged(_: str, array: np.ndarray) -> np.ndarray:
    return array


def _find_target(method: str, target: str) -> _Target:
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    match = pattern.fullmatch(target) if pattern is not None else None
    if match is None:
        raise invalid_argument(f"Malformed request: {method} {target}")
    version = _to_version(match["version"]) if match["version"] else None
    label = _decode(match["label"]) if match["label"] else None
    spec = ModelSpec(_decode(match["name"] or ""), version, label)
    if method == "POST":
        if match["verb"] not in ("classify", "regress", "predict"):  # the pattern allows capitals, the verb does not
            raise invalid_argument(f"Malformed request: {method} {target}")
        return _Target(spec, match["verb"])
    if not spec.name:
        raise invalid_argument("Missing model name in request.")
    return _Target(spec, "metadata" if match["part"] == "metadata" else "status")


def _to_version(digits: str) -> int:
    text = digits.lstrip("0") or "0"
    if len(text) > _MOST_DIGITS or int(text) > 2**63 - 1:  # Python refuses to read thousands of digits
        raise invalid_argument(f"Failed to convert version: {digits} to numeric.")
    return int(text)


def _decode(part: str) -> str:
    return unquote_to_bytes(part).decode("utf-8", "replace")
