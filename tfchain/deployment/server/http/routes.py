"""The table of the server's own endpoints, in front of TensorFlow Serving's REST API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tfchain.deployment.server.admission import RETRY_SECONDS, Gate, OverloadedError
from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.http.limits import BodyError, BodyTooLargeError, RequestLimits, inflate
from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.json.depth import is_too_deep
from tfchain.deployment.server.json.text import INDENT, quote
from tfchain.deployment.server.metrics.registry import Counter
from tfchain.deployment.server.servables.deadline import Deadline, deadline_exceeded
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
        body: The request's body, unpacked.
        deadline: When it must be answered; None for the time limit of its endpoint.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    deadline: Deadline | None = None


RouteHandler = Callable[[Request], Answer]
Fallback = Callable[[str, str, Mapping[str, str], bytes, Deadline | None], Answer]


class ErrorWriter(Protocol):
    """Writes an error in the form that an endpoint's clients read; `error_answer` is one."""

    def __call__(self, error: StatusError, *, status: int = 0, headers: Headers = ()) -> Answer:
        """Makes an error answer.

        Args:
            error: The error.
            status: The HTTP status; 0 for the one that the error has in this form.
            headers: Further headers.
        """


@dataclass(frozen=True, slots=True)
class _Route:
    handle: RouteHandler
    is_public: bool
    errors: ErrorWriter
    is_light: bool = False


class Router:
    """Answers requests from a table of method and path; all others go to the fallback, the REST API.

    A `HEAD` request is answered like `GET`. A path of the table that is asked by another method is 405, or goes to the
    fallback if it begins with `/v1/`, where TensorFlow Serving has its own answers.

    Args:
        fallback: Answers the requests outside the table.
        keys: The keys that requests must carry, or None to let every request in.
        refused: Counts requests without a valid key, by protocol; None for no counting.
        limits: The limits of all requests. Default: those of `RequestLimits`.
        gate: Counts the requests that run or wait, those of other protocols too. Default: one for this table alone.
        cors_headers: Headers of the table's answers that let pages of other sites read them. Default: none.

    Example:
        router.add("GET", "/live", lambda request: Answer(200, (("Content-Type", "text/plain"),), b"live"))
    """

    def __init__(
        self,
        fallback: Fallback,
        *,
        keys: ApiKeys | None = None,
        refused: Counter | None = None,
        limits: RequestLimits | None = None,
        gate: Gate | None = None,
        cors_headers: Headers = (),
    ) -> None:
        self._cors_headers = cors_headers
        self.limits = limits or RequestLimits()
        self._fallback = fallback
        self._keys = keys
        self._refused = refused
        self._gate = gate or Gate(self.limits.max_concurrent_requests)
        self._routes: dict[str, dict[str, _Route]] = {}

    def add(
        self,
        method: str,
        path: str,
        handle: RouteHandler,
        *,
        is_public: bool = False,
        is_light: bool = False,
        errors: ErrorWriter | None = None,
    ) -> None:
        """Adds an endpoint, or replaces it.

        Args:
            method: The HTTP method in capitals, or `ANY_METHOD`. Requests by `POST` are counted and limited.
            path: The path, exactly.
            handle: Answers the requests; a StatusError, or any other error, becomes an error answer.
            is_public: Whether requests need no API key. Default: False.
            is_light: Whether requests are answered at once, beside the requests that run a model. Default: False.
            errors: Writes the endpoint's errors, those before `handle` too. Default: TensorFlow Serving's form.
        """
        self._routes.setdefault(path, {})[method] = _Route(handle, is_public, errors or error_answer, is_light)

    def check_size(self, method: str, target: str, size: int) -> Answer | None:
        """Returns the answer to a request whose body is too large; None if it is not.

        Args:
            method: The HTTP method.
            target: The path as sent, with the query.
            size: The body's size in bytes, or the size of what has arrived of it.
        """
        if size <= self.limits.max_body_bytes:
            return None
        return self._refuse(method, target, BodyTooLargeError(self.limits.max_body_bytes))

    def enter(self, method: str, target: str) -> Answer | None:
        """Counts a request in before it waits for its turn; returns the answer if it is a request too many.

        Requests by `POST` count, which run models. The caller calls `leave` at the end of each one that is let in.
        """
        if method != "POST":
            return None
        try:
            self._gate.enter()
        except OverloadedError as error:
            return self._refuse(method, target, error)
        return None

    def leave(self, method: str, target: str) -> None:
        """Counts a request out that `enter` let in."""
        if method == "POST":
            self._gate.leave()

    def give_up(self, method: str, target: str) -> Answer:
        """Returns the answer to a request whose time was up before its turn came."""
        return self._refuse(method, target, deadline_exceeded())

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, deadline: Deadline | None = None
    ) -> Answer:
        """Answers a request; the arguments are those of `RestApi.answer`."""
        route, methods = self._find(method, target)
        path, _, query = target.partition("?")
        answer = self._answer(route, methods, target, Request(method, path, query, headers, body, deadline))
        if self._cors_headers and methods and not (route is None and target.lower().startswith("/v1/")):
            return self._add_cors(answer)
        return answer

    def check_head(self, method: str, target: str, headers: Mapping[str, str]) -> Answer | None:
        """Returns the answer to a request without a valid key, before its body is read; None if it may go on."""
        route, _ = self._find(method, target)
        if self._keys is None or not _needs_key(method, route):
            return None
        try:
            self._keys.check(headers.get("authorization"))
        except StatusError as error:
            if self._refused is not None:
                self._refused.labels("REST").add()
            return self._add_cors(route.errors(error) if route is not None else error_answer(error))
        return None

    def is_light(self, method: str, target: str) -> bool:
        """Returns whether a request is answered at once, without waiting for its turn among others."""
        route, _ = self._find(method, target)
        return route is not None and route.is_light

    def find_route(self, method: str, target: str) -> str | None:
        """Returns the path of a request's endpoint, without what varies; empty if it is not in the table.

        None stands for endpoints that are asked again and again by machines, such as `/health` and `/metrics`.

        Args:
            method: The HTTP method.
            target: The path as sent, with the query.
        """
        route, methods = self._find(method, target)
        if not methods:
            return ""
        return None if route is not None and route.is_light else target.partition("?")[0]

    def _refuse(self, method: str, target: str, error: StatusError) -> Answer:
        route, _ = self._find(method, target)
        return self._add_cors(_to_answer(error_answer if route is None else route.errors, error))

    def _add_cors(self, answer: Answer) -> Answer:
        return Answer(answer.status, (*answer.headers, *self._cors_headers), answer.body)

    def _answer(self, route: _Route | None, methods: Mapping[str, _Route], target: str, sent: Request) -> Answer:
        """Answers a request whose body is as it was sent."""
        method, path, headers = sent.method, sent.path, sent.headers
        errors = next((other.errors for other in (route, *methods.values()) if other is not None), error_answer)
        if self._keys is not None and _needs_key(method, route):
            try:
                self._keys.check(headers.get("authorization"))
            except StatusError as error:
                if self._refused is not None:
                    self._refused.labels("REST").add()
                # The fallback writes these headers itself, and `answer` those of the table.
                return errors(error, headers=() if methods else self._cors_headers)
        if route is not None:
            try:
                body = inflate(headers, sent.body, self.limits.max_body_bytes)
                if is_too_deep(body, most := self.limits.max_json_depth):
                    raise BodyError(f"The body is nested too deeply: at most {most} levels of lists and objects.")
                return route.handle(Request(method, path, sent.query, headers, body, sent.deadline))
            except Exception as error:
                return _to_answer(route.errors, to_status(error))
        if methods and not path.lower().startswith("/v1/"):
            if method == "OPTIONS" and self._cors_headers:
                return Answer(200, (), b"")
            allow = ("Allow", ", ".join(sorted(methods)))
            message = f"{path} takes {allow[1]}. Received: {method}."
            return errors(StatusError(Code.INVALID_ARGUMENT, message), status=405, headers=(allow,))
        return self._fallback(method, target, headers, sent.body, sent.deadline)

    def _find(self, method: str, target: str) -> tuple[_Route | None, Mapping[str, _Route]]:
        """Returns the route of a request, and all routes of its path by method."""
        methods = self._routes.get(target.partition("?")[0], {})
        route = methods.get(method) or methods.get(ANY_METHOD) or (methods.get("GET") if method == "HEAD" else None)
        return route, methods


def _needs_key(method: str, route: _Route | None) -> bool:
    """A browser asks with OPTIONS before it sends a key, which the fallback and the table answer without content."""
    return method != "OPTIONS" if route is None else not route.is_public


def _to_answer(write: ErrorWriter, error: StatusError) -> Answer:
    if isinstance(error, BodyTooLargeError):
        return write(error, status=413)
    is_overloaded = error.code is Code.RESOURCE_EXHAUSTED
    return write(error, headers=(("Retry-After", str(RETRY_SECONDS)),) if is_overloaded else ())


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
