"""A span of each HTTP request, by OpenTelemetry's semantic conventions for HTTP servers."""

from collections.abc import Callable, Mapping

from tfchain.deployment.server.http.rest import Answer
from tfchain.deployment.server.servables.deadline import Deadline
from tfchain.deployment.server.tracing import RequestTracer, set_failed

_METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"))
_OTHER = "_OTHER"
_SERVER_ERROR = 500


class TracedApi:
    """Answers as another API does, and makes a span of each request that `find_route` has a name for.

    Args:
        handle: A function from `(method, target, headers, body, deadline)` to an answer.
        tracer: Makes the spans.
        find_route: Returns the route of `(method, target)`; empty if no endpoint has the path, None for no span.
        scheme: `http` or `https`.
    """

    def __init__(
        self,
        handle: Callable[[str, str, Mapping[str, str], bytes, Deadline], Answer],
        tracer: RequestTracer,
        find_route: Callable[[str, str], str | None],
        *,
        scheme: str,
    ) -> None:
        self._handle = handle
        self._tracer = tracer
        self._find_route = find_route
        self._scheme = scheme

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> Answer:
        """Answers a request."""
        route = self._find_route(method, target)
        if route is None:
            return self._handle(method, target, headers, body, deadline)
        attributes = describe_request(method, target, headers, route, self._scheme)
        name = attributes["http.request.method"] if attributes["http.request.method"] != _OTHER else "HTTP"
        with self._tracer.request(f"{name} {route}".rstrip(), headers, attributes) as span:
            answer = self._handle(method, target, headers, body, deadline)
            span.set_attribute("http.response.status_code", answer.status)
            if answer.status >= _SERVER_ERROR:
                set_failed(span, str(answer.status))
            return answer


def describe_request(
    method: str, target: str, headers: Mapping[str, str], route: str, scheme: str
) -> dict[str, str | int]:
    """Returns the attributes of a request's span before it is answered.

    Args:
        method: The HTTP method, as sent.
        target: The path as sent, with the query.
        headers: The request's headers, by lower-case name.
        route: The path's pattern; empty if it is not known.
        scheme: `http` or `https`.
    """
    path, _, query = target.partition("?")
    attributes: dict[str, str | int] = {
        "http.request.method": method if method in _METHODS else _OTHER,
        "url.path": path,
        "url.scheme": scheme,
    }
    if method not in _METHODS:
        attributes["http.request.method_original"] = method
    if query:
        attributes["url.query"] = query
    if route:
        attributes["http.route"] = route
    if "user-agent" in headers:
        attributes["user_agent.original"] = headers["user-agent"]
    host, _, port = headers.get("host", "").rpartition(":")
    if host and port.isdecimal():
        attributes |= {"server.address": host.strip("[]"), "server.port": int(port)}
    elif headers.get("host"):
        attributes["server.address"] = headers["host"]
    return attributes
