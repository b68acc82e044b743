"""SignatureDefs as signatures, and the requests to refuse because a signature has what messages cannot contain."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.deployment.server.servables.dtypes import HANDLES
from tfchain.deployment.server.servables.servable import Signature, TensorSpec
from tfchain.deployment.server.servables.session import tensor_not_found
from tfchain.deployment.server.servables.tensor_proto import to_array
from tfchain.deployment.server.status import Code, StatusError, invalid_argument

_COMPOSITES = {"coo_sparse": "sparse tensor", "composite_tensor": "composite tensor"}


def read_signature(name: str, proto: Any, *, checks_method_name: bool = False) -> Signature:
    """Reads a `SignatureDef`. What requests cannot use is marked, so that the other signatures can be served.

    Args:
        name: The signature's name.
        proto: The `SignatureDef`.
        checks_method_name: Whether requests are checked for the signature's method. Default: False.
    """
    defaults: dict[str, np.ndarray | None] = {}
    for alias, value in proto.defaults.items():
        try:
            defaults[alias] = to_array(value)
        except (InputError, ValueError):
            defaults[alias] = None  # requests that need it are refused, as in the C++ server
    return Signature(
        name=name,
        inputs={alias: _to_spec(info) for alias, info in sorted(proto.inputs.items())},
        outputs={alias: _to_spec(info) for alias, info in sorted(proto.outputs.items())},
        defaults=defaults,
        method_name=proto.method_name if checks_method_name else None,
    )


def check_dense(signature: Signature, outputs: Sequence[str]) -> None:
    """Refuses a request for what has no single tensor, with the engine's text and an explanation."""
    for name, spec in signature.inputs.items():
        if spec.composite:
            raise invalid_argument(
                f"{tensor_not_found(':0').message}: input {name} of signature {signature.name} is a {spec.composite}, "
                "which a request cannot contain. Export a signature whose inputs are dense tensors."
            )
    for name in outputs:
        composite = signature.outputs[name].composite
        if composite:
            raise invalid_argument(
                f"{tensor_not_found(':0').message}: output {name} of signature {signature.name} is a {composite}, "
                "which an answer cannot contain. Name other outputs in `output_filter`, or export dense tensors."
            )


def check_readable(signature: Signature, outputs: Sequence[str], special: Mapping[str, int]) -> None:
    """Refuses a request for what Python gets no value of: of a resource, it would get bytes of the server's memory."""
    for name in outputs:
        kind = HANDLES.get(special.get(signature.outputs[name].tensor_name, 0))
        if kind is not None:
            raise StatusError(
                Code.UNIMPLEMENTED,
                f"Output {name} of signature {signature.name} is a {kind}, which the embedded server cannot write. "
                "Name other outputs in `output_filter`.",
            )


def _to_spec(info: Any) -> TensorSpec:
    return TensorSpec(info.name, info.dtype, _COMPOSITES.get(info.WhichOneof("encoding") or "", ""))
