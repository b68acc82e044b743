"""Answers `ModelService.HandleReloadConfigRequest`."""

from collections.abc import Callable
from typing import Any

import grpc

from tfchain.deployment.server.status import cut_grpc_message, to_status

Reload = Callable[[Any, float | None], None]  # (ModelServerConfig, seconds left) → None, or a StatusError
_GRPC_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def answer_reload(reload: Reload, request: Any, context: grpc.ServicerContext, seconds_left: float | None) -> Any:
    """Replaces the configuration of the models; the status goes into the answer as well as into the RPC.

    The request's `metric_names` are ignored: the answer lists how far a metric increased, and the embedded server
    counts nothing that a reload increases.

    Args:
        reload: A function that takes the request's configuration.
        request: The `ReloadConfigRequest`.
        context: The call.
        seconds_left: The time until the client's deadline; None without one.
    """
    from tensorflow_serving.apis import model_management_pb2

    response = model_management_pb2.ReloadConfigResponse()
    try:
        reload(request.config, seconds_left)
    except Exception as error:
        status = to_status(error)
        response.status.error_code, response.status.error_message = status.code, status.message
        context.set_code(_GRPC_CODES[status.code])
        context.set_details(cut_grpc_message(status.message))
    else:
        response.status.error_code = 0
    return response
