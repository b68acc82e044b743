"""Answers `ModelService.HandleReloadConfigRequest`."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from tfchain.deployment.server.grpc.requests import GRPC_CODES
from tfchain.deployment.server.metrics.registry import Counter, Registry
from tfchain.deployment.server.status import cut_grpc_message, to_status

Reload = Callable[[Any, float | None], None]  # (ModelServerConfig, seconds left) → None, or a StatusError


def answer_reload(
    reload: Reload,
    request: Any,
    context: grpc.ServicerContext,
    seconds_left: float | None,
    collect: Callable[[], Registry],
) -> Any:
    """Replaces the configuration of the models; the status goes into the answer as well as into the RPC.

    For each of the request's `metric_names` that is a counter, the answer says how far the reload increased it.

    Args:
        reload: A function that takes the request's configuration.
        request: The `ReloadConfigRequest`.
        context: The call.
        seconds_left: The time until the client's deadline; None without one.
        collect: Returns the server's metrics.
    """
    from tensorflow_serving.apis import model_management_pb2

    response = model_management_pb2.ReloadConfigResponse()
    before = _read_counters(collect, request.metric_names)
    try:
        reload(request.config, seconds_left)
    except Exception as error:
        status = to_status(error)
        response.status.error_code, response.status.error_message = status.code, status.message
        context.set_code(GRPC_CODES[status.code])
        context.set_details(cut_grpc_message(status.message))
    else:
        response.status.error_code = 0
    for name, total in _read_counters(collect, request.metric_names).items():
        response.metric.add(name=name, int64_value_increase=int(total - before.get(name, 0)))
    return response


def _read_counters(collect: Callable[[], Registry], names: Sequence[str]) -> dict[str, float]:
    """Returns the totals of counters by name; a name may be TensorFlow's own, such as `/tensorflow/core/graph_runs`."""
    if not names:
        return {}
    counters = {metric.name: metric for metric in collect().metrics() if isinstance(metric, Counter)}
    found = {name: counters.get(re.sub(r"[^A-Za-z0-9_]", ":", name)) for name in names}
    return {
        name: sum(cell.value for _, cell in counter.cells()) for name, counter in found.items() if counter is not None
    }
