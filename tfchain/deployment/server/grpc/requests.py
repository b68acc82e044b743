"""Decodes the parts of a request that gRPC messages and warm-up records share."""

from typing import Any

import grpc
import numpy as np

from tfchain.core.errors import InputError
from tfchain.deployment.server.admission import check_rows
from tfchain.deployment.server.inference.examples import merge_context
from tfchain.deployment.server.inference.multi_inference import InferenceTask
from tfchain.deployment.server.manager import ModelSpec
from tfchain.deployment.server.servables.dtypes import HANDLES
from tfchain.deployment.server.servables.tensor_proto import to_array
from tfchain.deployment.server.status import Code, StatusError, invalid_argument

GRPC_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def decode_input(name: str, proto: Any) -> np.ndarray:
    """Reads one input's TensorProto.

    Raises:
        StatusError: if it is not a tensor.
    """
    if proto.dtype in HANDLES:
        raise StatusError(
            Code.UNIMPLEMENTED,
            f"Input {name} is a {HANDLES[proto.dtype]}, which the embedded server cannot read from a request.",
        )
    try:
        return to_array(proto)
    except (InputError, ValueError) as error:
        raise invalid_argument(f"tensor parsing error: {name}") from error


def to_model_spec(request: Any) -> ModelSpec:
    """Reads the model that a request of any RPC names.

    Raises:
        StatusError: if the request has no model spec, or a model spec without a name.
    """
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    proto = request.model_spec
    if not proto.name:
        raise invalid_argument("ModelSpec has no name specified.")
    choice = proto.WhichOneof("version_choice")
    return ModelSpec(
        name=proto.name,
        version=proto.version.value if choice == "version" else None,
        label=proto.version_label if choice == "version_label" else None,
    )


def decode_examples(proto: Any, max_rows: int | None = None) -> list[bytes]:
    """Reads an Input as serialized examples, each with the context's features; empty if the Input is.

    Args:
        proto: The Input.
        max_rows: The most examples. Default: None, no limit.

    Raises:
        StatusError: if there are more examples.
    """
    if max_rows is not None:
        check_rows(max(len(proto.example_list.examples), len(proto.example_list_with_context.examples)), max_rows)
    if proto.WhichOneof("kind") == "example_list_with_context":
        with_context = proto.example_list_with_context
        examples = [example.SerializeToString() for example in with_context.examples]
        return merge_context(with_context.context.SerializeToString(), examples)
    return [example.SerializeToString() for example in proto.example_list.examples]


def decode_tasks(request: Any) -> list[InferenceTask]:
    """Reads the tasks of a MultiInferenceRequest."""
    return [
        InferenceTask(task.model_spec.name, task.model_spec.signature_name, task.method_name) for task in request.tasks
    ]
