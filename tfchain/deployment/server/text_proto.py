"""Reads text protos whose messages tensorflow-serving-api lacks: they are described here and made at run time."""

import functools
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError

_PACKAGE = "tensorflow.serving"
# File → message → field → type: a scalar, `repeated` and a scalar, a wrapper, which tells apart 0 and a field that is
# not set, or another message of the file. The text format has no field numbers, so the fields are counted from 1.
_FILES: dict[str, dict[str, dict[str, str]]] = {
    "ssl_config": {
        "SSLConfig": {"server_key": "string", "server_cert": "string", "custom_ca": "string", "client_verify": "bool"},
    },
    "monitoring_config": {
        "PrometheusConfig": {"enable": "bool", "path": "string"},
        "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
    },
    "session_bundle_config": {
        "BatchingParameters": {
            "max_batch_size": "Int64Value",
            "batch_timeout_micros": "Int64Value",
            "max_enqueued_batches": "Int64Value",
            "num_batch_threads": "Int64Value",
            "thread_pool_name": "StringValue",
            "allowed_batch_sizes": "repeated int64",
            "pad_variable_length_inputs": "bool",
            "enable_large_batch_splitting": "BoolValue",
            "max_execution_batch_size": "Int64Value",
        },
    },
}


def read_text_proto(path: Path | str, message: Any) -> Any:
    """Fills a message from a text proto.

    Args:
        path: The file.
        message: An empty message; it is filled.

    Returns:
        The message.

    Raises:
        InputError: if the file cannot be read, or is not a text proto of this message.
    """
    from google.protobuf import text_format

    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Name a text proto that can be read.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"Invalid protobuf file: '{path}' (it is not UTF-8).") from error
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        name = message.DESCRIPTOR.full_name
        raise InputError(f"Invalid protobuf file: '{path}'\nError parsing text-format {name}: {error}") from error


def make_message(file: str, name: str) -> Any:
    """Makes an empty message of TensorFlow Serving.

    Args:
        file: The proto file's name without its ending, such as `ssl_config`.
        name: The message's name, such as `SSLConfig`.
    """
    return _message_classes(file)[name]()


@functools.cache
def _message_classes(file: str) -> dict[str, Any]:
    """Builds a proto file's classes in a pool of their own: a later tensorflow-serving-api may bring the same names."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

    proto = descriptor_pb2.FieldDescriptorProto
    scalars = {"string": proto.TYPE_STRING, "bool": proto.TYPE_BOOL, "int64": proto.TYPE_INT64}
    described = descriptor_pb2.FileDescriptorProto(
        name=f"tensorflow_serving/config/{file}.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for name, fields in _FILES[file].items():
        message = described.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            *repeated, kind = kind.split()
            label = proto.LABEL_REPEATED if repeated else proto.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            added.type = scalars.get(kind, proto.TYPE_MESSAGE)
            if kind not in scalars:
                added.type_name = f".google.protobuf.{kind}" if kind.endswith("Value") else f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(wrappers_pb2.DESCRIPTOR.serialized_pb))
    pool.Add(described)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _FILES[file]
    }
