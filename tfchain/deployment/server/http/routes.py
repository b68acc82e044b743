"""The table of the server's own endpoints, in front of TensorFlow Serving's REST API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.json.text import INDENT, quote
from tfchain.deployment.server.metrics.registry import Counter
from tfchain.deployment.server.status import HTTP_STATUS, Code, StatusError, to_status

ANY_METHOD = "*"
_JSON = (("Content-Type", "application/json"),)
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to an endpoint of the table.

    Args:
        method: The HTTP method, such as `POST`.
        path: The path, as sent.
        query: What follows `?` in the target, as sent; empty without one.
        headers: The request's headers, by lower-case name.
        body: The request's body.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


RouteHandler = Callable[[Request], Answer]
Fallback = Callable[[str, str, Mapping[str, str], bytes], Answer]


@dataclass(frozen=True, slots=True)
class _Route:
    handle: RouteHandler
    is_public: bool


class Router:
    """Answers requests from a table of method and path; all others go to the fallback, the REST API.

    A `HEAD` request is answered like `GET`. A path of the table that is asked by another method is 405, or goes to the
    fallback if it begins with `/v1/`, where TensorFlow Serving has its own answers.

    Args:
        fallback: Answers the requests outside the table.
        keys: The keys that requests must carry, or None to let every request in.
        refused: Counts requests without a valid key, by protocol; None for no counting.
        headers: Headers of all answers that the table gives itself, such as those of CORS. Default: none.

    Example:
        router.add("GET", "/live", lambda request: Answer(200, (("Content-Type", "text/plain"),), b"live"))
    """

    def __init__(
        self,
        fallback: Fallback,
        *,
        keys: ApiKeys | None = None,
        refused: Counter | None = None,
        headers: Headers = (),
    ) -> None:
        self._fallback = fallback
        self._headers = headers
        self._keys = keys
        self._refused = refused
        self._routes: dict[str, dict[str, _Route]] = {}

    def add(self, method: str, path: str, handle: RouteHandler, *, is_public: bool = False) -> None:
        """Adds an endpoint, or replaces it.

        Args:
            method: The HTTP method in capitals, or `ANY_METHOD`.
            path: The path, exactly.
            handle: Answers the requests; a StatusError, or any other error, becomes an error answer.
            is_public: Whether requests need no API key. Default: False.
        """
        self._routes.setdefault(path, {})[method] = _Route(handle, is_public)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answers a request; the arguments are those of `RestApi.answer`."""
        path, _, query = target.partition("?")
        methods = self._routes.get(path, {})
        route = methods.get(method) or methods.get(ANY_METHOD) or (methods.get("GET") if method == "HEAD" else None)
        if self._keys is not None and method != "OPTIONS" and not (route is not None and route.is_public):
            try:  # a browser asks with OPTIONS before it sends a key
                self._keys.check(headers.get("authorization"))
            except StatusError as error:
                if self._refused is not None:
                    self._refused.labels("REST").add()
                return error_answer(error, headers=self._headers)
        if route is not None:
            try:
                answer = route.handle(Request(method, path, query, headers, body))
            except Exception as error:
                return error_answer(to_status(error), headers=self._headers)
            return replace(answer, headers=(*answer.headers, *self._headers)) if self._headers else answer
        if methods and not path.lower().startswith("/v1/"):
            allow = ("Allow", ", ".join(sorted(methods)))
            message = f"{path} takes {allow[1]}. Received: {method}."
            wrong_method = StatusError(Code.INVALID_ARGUMENT, message)
            return error_answer(wrong_method, status=405, headers=(allow, *self._headers))
        return self._fallback(method, target, headers, body)


def error_answer(error: StatusError, *, status: int = 0, headers: Headers = ()) -> Answer:
    """Makes an error answer in TensorFlow Serving's form.

    Args:
        error: The error.
        status: The HTTP status; 0 for the one of the error's code.
        headers: Further headers.
    """
    if error.code is Code.UNAUTHENTICATED:
        headers = (*headers, ("WWW-Authenticate", "Bearer"))
    body = f'{{\n{INDENT}"error": {quote(error.message)}\n}}'.encode("utf-8", "surrogateescape")
    return Answer(status or HTTP_STATUS[error.code], (*_JSON, *headers), body)
