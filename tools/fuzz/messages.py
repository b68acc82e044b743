"""Odd gRPC requests: valid messages with some of their fields changed, or some of their bytes."""

from collections.abc import Callable
from random import Random
from typing import Any

from tfchain.deployment.server.grpc.server import GrpcServer
from tfchain.deployment.server.status import Code, to_status
from tools.fuzz.mutation import mutate
from tools.fuzz.outcomes import Fault
from tools.fuzz.rest import Models

_TEXTS = ("", "x", "hpt", "graph", "serving_default", "é\U0001f600", "\0", "a" * 3000, "signature_def", "../..", "/")
_WHOLE = (0, 1, 2, 3, -1, 7, 14, 19, 65, 255, 70_000, 2**31 - 1, -(2**31), 2**31, 2**62, 2**63 - 1, -(2**63), 2**64 - 1)
_FLOATS = (0.0, -0.0, 1.5, 1e38, 1e300, float("nan"), float("inf"), -1e-300)
_OWN_ERRORS = ("XLA compilation disabled", "A label must be UTF-8")  # INTERNAL by the contract, or the model's fault


class Context:
    """A call's context, as far as the handlers use it.

    Args:
        seconds: The time until the client's deadline; None without one.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds
        self.codes: list[Any] = []

    def time_remaining(self) -> float | None:
        return self._seconds

    def set_code(self, code: Any) -> None:
        self.codes.append(code)

    def set_details(self, details: str) -> None:
        details.encode()


def make_request(random: Random, models: Models) -> tuple[str, Any]:
    """Makes a handler's name and a request for it, which may be broken.

    Args:
        random: The source of chance.
        models: The models, with signatures that they have and some that they lack.

    Raises:
        google.protobuf.message.DecodeError: if the bytes were damaged so much that they are no message.
    """
    name = random.choice(list(_MAKERS))
    request = _MAKERS[name](random, models)
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        mutate_message(random, request)
    if random.random() < 0.15:
        request = type(request).FromString(mutate(random, request.SerializeToString()))
    return name, request


def check_call(server: GrpcServer, name: str, request: Any, seconds: float | None) -> str:
    """Calls a handler, and returns the call's status.

    Raises:
        Fault: if it is one that no request may have.
    """
    context: Any = Context(seconds)
    try:
        response = getattr(server, name)(request, context)
        response.SerializeToString()
    except Exception as error:
        status = to_status(error)
        is_ours = status.code in (Code.INTERNAL, Code.UNKNOWN) and not status.message.startswith(_OWN_ERRORS)
        if is_ours or not status.message:
            raise Fault(f"{name}: {status}") from error
        return status.code.name
    if context.codes:
        code = context.codes[-1].name
        if code == "INTERNAL":
            raise Fault(f"{name}: {response}")
        return str(code)
    return "OK"


def mutate_message(random: Random, message: Any) -> None:
    """Changes one field somewhere in a message."""
    fields = list(message.DESCRIPTOR.fields)
    if not fields:
        return
    present = [field for field, _ in message.ListFields()]
    field = random.choice(present if present and random.random() < 0.7 else fields)
    if random.random() < 0.1:
        message.ClearField(field.name)
        return
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    value = getattr(message, field.name)
    if is_map:
        _mutate_map(random, field, value)
    elif field.message_type is not None:
        if not field.is_repeated:
            if random.random() < 0.2:
                value.SetInParent()
            mutate_message(random, value)
        elif value and random.random() < 0.7:
            mutate_message(random, random.choice(value))
        else:
            mutate_message(random, value.add())
    elif field.is_repeated:
        value.extend([_make_scalar(random, field)] * random.choice((1, 1, 2, 70)))
    else:
        setattr(message, field.name, _make_scalar(random, field))


def _mutate_map(random: Random, field: Any, value: Any) -> None:
    key_field, value_field = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
    keys = list(value)
    key = random.choice(keys) if keys and random.random() < 0.7 else _make_scalar(random, key_field)
    if keys and random.random() < 0.1:
        del value[key if key in value else keys[0]]
    elif value_field.message_type is not None:
        mutate_message(random, value[key])
    else:
        value[key] = _make_scalar(random, value_field)


def _make_scalar(random: Random, field: Any) -> Any:
    kind = field.cpp_type
    if kind == field.CPPTYPE_STRING:
        text = random.choice(_TEXTS)
        return (
            random.choice((text.encode(), b"\xff\xfe", random.randbytes(9))) if field.type == field.TYPE_BYTES else text
        )
    if kind == field.CPPTYPE_BOOL:
        return random.random() < 0.5
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return random.choice(_FLOATS)
    if kind == field.CPPTYPE_ENUM:
        return random.choice((0, 1, 2, 7, 14, 19, 23, 101, -1, 9999))
    low, high = _RANGES[kind]
    return min(max(random.choice(_WHOLE), low), high)


_RANGES = {1: (-(2**31), 2**31 - 1), 2: (-(2**63), 2**63 - 1), 3: (0, 2**32 - 1), 4: (0, 2**64 - 1)}  # by cpp_type


def _fill_spec(random: Random, spec: Any, models: Models) -> str:
    spec.name = random.choice((*models, "hpt", "hpt", "graph"))
    spec.signature_name = random.choice(list(models[spec.name]))
    if random.random() < 0.2:
        spec.version.value = random.choice((123, 1))
    return str(spec.signature_name)


def _predict(random: Random, models: Models) -> Any:
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    signature = _fill_spec(random, request.model_spec, models)
    inputs = models[request.model_spec.name][signature] or {"x": 1}
    for name, dtype in inputs.items():
        tensor = request.inputs[name]
        tensor.dtype = dtype if random.random() < 0.8 else random.choice((1, 7, 3, 9, 2, 10, 19, 14, 4, 17, 8, 22, 23))
        for _ in range(random.choice((0, 1, 1, 1, 2))):
            tensor.tensor_shape.dim.add(size=random.choice((0, 1, 2, 2, 3)))
        if random.random() < 0.1:
            tensor.tensor_content = random.randbytes(random.choice((0, 4, 8, 12)))
        tensor.float_val.extend([1.5] * random.randint(0, 3))
        tensor.string_val.extend([b"text"] * random.randint(0, 3))
        tensor.int_val.extend([300] * random.randint(0, 3))
        tensor.half_val.extend([70_000, 1] * random.randint(0, 2))
        tensor.int64_val.extend([2] * random.randint(0, 1))
        tensor.bool_val.extend([True] * random.randint(0, 1))
        tensor.double_val.extend([0.5] * random.randint(0, 1))
    if random.random() < 0.2:
        request.output_filter.extend(random.choice((["y"], ["y", "y"], ["nope"])))
    return request


def _fill_input(random: Random, proto: Any) -> None:
    kind = proto.example_list_with_context if random.random() < 0.4 else proto.example_list
    for _ in range(random.choice((0, 1, 2))):
        feature = kind.examples.add().features.feature
        feature["x"].float_list.value.append(0.25)
        feature["words"].bytes_list.value.extend([b"a", b"\xff"])
    if random.random() < 0.2:
        proto.example_list_with_context.context.features.feature["x"].int64_list.value.append(3)


def _classify(random: Random, models: Models) -> Any:
    from tensorflow_serving.apis import classification_pb2

    request = classification_pb2.ClassificationRequest()
    _fill_spec(random, request.model_spec, models)
    _fill_input(random, request.input)
    return request


def _regress(random: Random, models: Models) -> Any:
    from tensorflow_serving.apis import regression_pb2

    request = regression_pb2.RegressionRequest()
    _fill_spec(random, request.model_spec, models)
    _fill_input(random, request.input)
    return request


def _multi_inference(random: Random, models: Models) -> Any:
    from tensorflow_serving.apis import inference_pb2

    request = inference_pb2.MultiInferenceRequest()
    for _ in range(random.choice((0, 1, 2, 3))):
        task = request.tasks.add(method_name=f"tensorflow/serving/{random.choice(('classify', 'regress', 'predict'))}")
        _fill_spec(random, task.model_spec, models)
    _fill_input(random, request.input)
    return request


def _metadata(random: Random, models: Models) -> Any:
    from tensorflow_serving.apis import get_model_metadata_pb2

    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    _fill_spec(random, request.model_spec, models)
    return request


def _status(random: Random, models: Models) -> Any:
    from tensorflow_serving.apis import get_model_status_pb2

    request = get_model_status_pb2.GetModelStatusRequest()
    _fill_spec(random, request.model_spec, models)
    return request


def _reload(random: Random, models: Models) -> Any:
    from tensorflow_serving.apis import model_management_pb2

    request = model_management_pb2.ReloadConfigRequest(metric_names=["/tensorflow/core/graph_runs", "é"])
    for name in random.sample(list(models), random.randint(0, len(models))):
        model = request.config.model_config_list.config.add(name=name, model_platform="tensorflow")
        model.base_path = random.choice(
            ("/nope", "/" + "a" * 5000, "/tmp/\0", "/dev/null/x", "file:///nope", "gs://b/m", "")
        )
        model.version_labels["stable"] = 123
    return request


_MAKERS: dict[str, Callable[[Random, Models], Any]] = {
    "predict": _predict,
    "classify": _classify,
    "regress": _regress,
    "multi_inference": _multi_inference,
    "metadata": _metadata,
    "status": _status,
    "reload": _reload,
}
