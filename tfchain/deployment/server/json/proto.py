"""Writes status and metadata as JSON, in the order and layout of TensorFlow Serving's protobuf printer."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfchain.deployment.server.status import Code
from tfchain.deployment.server.versions import VersionStatus


def write_status(statuses: Sequence[VersionStatus]) -> str:
    """Writes the states of a model's versions."""
    return _pretty(
        {
            "model_version_status": [
                {
                    "version": str(status.version),
                    "state": status.state.name,
                    "status": {
                        "error_code": (status.error.code if status.error else Code.OK).name,
                        "error_message": status.error.message if status.error else "",
                    },
                }
                for status in statuses
            ]
        }
    )


def write_metadata(name: str, version: int, signature_defs: Mapping[str, Any]) -> str:
    """Writes a model's signatures.

    Args:
        name: The model's name.
        version: The model's version.
        signature_defs: `SignatureDef` protos by name.
    """
    spec = _pretty({"name": name, "signature_name": "", "version": str(version)})
    signatures = _pretty({"signature_def": {key: _signature(proto) for key, proto in sorted(signature_defs.items())}})
    return f'{{\n"model_spec":{spec},\n"metadata": {{"signature_def": {signatures}}}\n}}\n'


def _signature(proto: Any) -> dict[str, Any]:
    return {
        "inputs": {name: _tensor_info(info) for name, info in sorted(proto.inputs.items())},
        "outputs": {name: _tensor_info(info) for name, info in sorted(proto.outputs.items())},
        "method_name": proto.method_name,
        "defaults": {name: _message(value) for name, value in sorted(proto.defaults.items())},
    }


def _tensor_info(info: Any) -> dict[str, Any]:
    encoding = info.WhichOneof("encoding")
    known = info.DESCRIPTOR.fields_by_name["dtype"].enum_type.values_by_number.get(info.dtype)
    return {
        "dtype": info.dtype if known is None else known.name,  # a newer TensorFlow's type is a number
        "tensor_shape": {
            "dim": [{"size": str(dim.size), "name": dim.name} for dim in info.tensor_shape.dim],
            "unknown_rank": info.tensor_shape.unknown_rank,
        },
        **({"name": info.name} if encoding == "name" else {}),
        **({encoding: _message(getattr(info, encoding))} if encoding not in (None, "name") else {}),
    }


def _message(proto: Any) -> Any:
    from google.protobuf import json_format

    return json_format.MessageToDict(proto, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _pretty(value: Any) -> str:
    """Formats JSON with one blank per level; escapes angle brackets, as protobuf's printer does."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e") + "\n"
