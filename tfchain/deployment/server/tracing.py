"""Spans of requests and of their stages; the only door to OpenTelemetry."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tfchain import __version__
from tfchain.core.errors import InputError
from tfchain.core.stages import StageRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

SERVICE_NAME = "tfchain-model-server"  # unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES has one
_INSTALL = "--otel_traces needs OpenTelemetry, which is not installed: {error}. Run `pip install tfchain[otel]`."
Attributes = Mapping[str, str | int]


class RequestTracer:
    """Makes a span of each request, and child spans of its stages.

    Args:
        provider: OpenTelemetry's provider; `close` shuts it down.
        close_seconds: How long that may take. Default: 5.
    """

    def __init__(self, provider: "TracerProvider", *, close_seconds: float = 5.0) -> None:
        self._close_seconds = close_seconds
        self._provider = provider
        self._tracer = provider.get_tracer("tfchain", __version__)

    @contextlib.contextmanager
    def request(self, name: str, headers: Mapping[str, str], attributes: Attributes) -> Iterator["Span"]:
        """Returns a `with` block in which a request is answered; its span is the current one.

        A request that is not sampled costs no more than finding that out.

        Args:
            name: The span's name.
            headers: The request's headers or metadata by lower-case name, which may name a parent (`traceparent`).
            attributes: What is known of the request before it is answered.
        """
        from opentelemetry import propagate, trace

        context = propagate.extract(headers)
        span = self._tracer.start_span(name, context, trace.SpanKind.SERVER, attributes)
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            if not span.is_recording():
                yield span
                return
            offset = time.time_ns() - int(time.monotonic() * 1e9)
            with StageRecord() as record:
                try:
                    yield span
                finally:
                    self._add_stages(span, record, offset)

    def _add_stages(self, span: "Span", record: StageRecord, offset: int) -> None:
        """Adds the child spans of a request.

        Args:
            span: The request's span.
            record: Its stages.
            offset: What is added to nanoseconds of `time.monotonic` for those since the epoch.
        """
        from opentelemetry.trace import set_span_in_context

        if record.model:
            span.set_attributes({"tfchain.model_name": record.model, "tfchain.model_version": record.version})
        context = set_span_in_context(span)
        for stage in record.stages:
            child = self._tracer.start_span(stage.name, context, start_time=offset + int(stage.begin * 1e9))
            child.end(offset + int(stage.end * 1e9))

    def close(self) -> None:
        """Sends the spans that are left, unless nobody takes them within some seconds."""
        sender = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        sender.start()
        sender.join(self._close_seconds)


def set_failed(span: "Span", error_type: str, description: str | None = None) -> None:
    """Marks a request as failed by the server's fault.

    Args:
        span: The request's span.
        error_type: The status: an HTTP status, or the name of a gRPC code.
        description: The error's text. Default: none.
    """
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR, description)


def start_tracing() -> RequestTracer:
    """Starts OpenTelemetry's SDK as its environment variables say, which sends traces by OTLP unless told otherwise.

    Raises:
        InputError: if a package is missing, or a variable is wrong.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.sdk._configuration import _OTelSDKConfigurator
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError as error:
        raise InputError(_INSTALL.format(error=error)) from error

    class Configurator(_OTelSDKConfigurator):
        """The SDK's own, which distributions of OpenTelemetry are meant to inherit from."""

    configurator: Any = Configurator  # it has no types
    if not os.environ.get("OTEL_TRACES_EXPORTER"):
        os.environ["OTEL_TRACES_EXPORTER"] = "otlp"  # as OpenTelemetry's own distribution does; the SDK has none
    try:
        configurator().configure(**_choose_arguments(os.environ))
    except Exception as error:  # each exporter and each variable has errors of its own
        raise InputError(f"OpenTelemetry cannot start: {error}. Check the OTEL_… environment variables.") from error
    provider: Any = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        raise InputError("OpenTelemetry was started with a provider that is not its SDK's; leave --otel_traces out.")
    return RequestTracer(provider)


def _choose_arguments(environment: Mapping[str, str]) -> dict[str, Any]:
    """Returns the service's name for the SDK, if its variables have none; an argument would win over them."""
    names = environment.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    is_named = environment.get("OTEL_SERVICE_NAME") or any(name.strip().startswith("service.name=") for name in names)
    if is_named or environment.get("OTEL_CONFIG_FILE"):
        return {}
    return {"resource_attributes": {"service.name": SERVICE_NAME}}
