"""Reads the body of a REST Classify or Regress request: JSON objects become serialized `tf.Example`s."""

from dataclasses import dataclass
from typing import Any

from tfchain.deployment.server.admission import DEFAULT_ROWS, check_rows
from tfchain.deployment.server.inference.examples import merge_context
from tfchain.deployment.server.json.depth import DEFAULT_DEPTH
from tfchain.deployment.server.json.request import is_object, parse_request
from tfchain.deployment.server.json.tensor import decode_base64
from tfchain.deployment.server.json.text import dump, type_name
from tfchain.deployment.server.status import StatusError, invalid_argument

_LISTS = {"bytes": "bytes_list", "float": "float_list", "int64": "int64_list"}


@dataclass(frozen=True, slots=True)
class JsonExamplesRequest:
    """The content of a request's body.

    Args:
        signature_name: The signature's name; empty if the request has none.
        examples: The serialized examples, each with the context's features.
    """

    signature_name: str
    examples: list[bytes]


def read_examples_request(
    body: bytes, *, max_rows: int = DEFAULT_ROWS, max_depth: int = DEFAULT_DEPTH
) -> JsonExamplesRequest:
    """Reads the body of a Classify or Regress request.

    Args:
        body: The request's body.
        max_rows: The most examples. Default: 65,536.
        max_depth: The most levels of lists and objects. Default: 128.

    Raises:
        StatusError: with TensorFlow Serving's text, if the body is not such a request.
    """
    document, signature_name = parse_request(body, max_depth)
    context = _to_example(document["context"]) if "context" in document else b""
    if "examples" not in document:
        # The text names Classify for Regress, too, as in the stock server.
        raise _wrong(document, "When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise _wrong(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise _wrong(document, "'examples' value is an empty array")
    check_rows(len(examples), max_rows)
    return JsonExamplesRequest(signature_name, merge_context(context, [_to_example(value) for value in examples]))


def _wrong(document: dict[str, Any], text: str) -> StatusError:
    return invalid_argument(f"JSON Value: {dump(document)} {text}")


def _to_example(value: Any) -> bytes:
    from tensorflow.core.example import example_pb2

    if not isinstance(value, dict):
        raise invalid_argument(f"Example must be JSON object but got JSON {type_name(value)}")
    example = example_pb2.Example()
    features = example.features.feature
    for name, content in value.items():
        kind, values = _read_feature(name, content)
        try:
            feature = features[name]
        except UnicodeEncodeError as error:
            raise invalid_argument(
                f"The name of a feature must be UTF-8. Received: {name.encode('utf-8', 'surrogateescape')!r}."
            ) from error
        if kind:
            getattr(feature, _LISTS[kind]).value.extend(values)
    return example.SerializeToString()


def _read_feature(name: str, content: Any) -> tuple[str, list[Any]]:
    """Reads a value or a list of values; returns its kind, which is empty for an empty list, and the values."""
    elements = content if isinstance(content, list) else [content]
    alike = _read_alike(elements)
    if alike is not None:
        return alike
    kind = ""
    values: list[Any] = []
    for element in elements:
        found = _kind_of(name, element)
        if kind and found != kind:
            raise invalid_argument(f"Unexpected element type in feature: {name} expecting type: {kind}")
        kind = found
        values.append(_read_element(name, element, kind))
    return kind, values


def _read_alike(elements: list[Any]) -> tuple[str, list[Any]] | None:
    """Reads elements of one type, all at once; returns None if they must be looked at one by one."""
    types = set(map(type, elements))
    if types == {str}:
        return "bytes", [element.encode("utf-8", "surrogateescape") for element in elements]
    if types == {float}:
        return "float", elements
    if types == {int} and -(2**63) <= min(elements) <= max(elements) < 2**63:
        return "int64", elements
    return None


def _kind_of(name: str, element: Any) -> str:
    match element:
        case bool():
            return "int64"
        case int() if -(2**63) <= element < 2**64:
            return "int64"
        case int() | float():  # the parser of the stock server reads longer whole numbers as decimals
            return "float"
        case str():
            return "bytes"
        case dict() if not is_object(element):
            return "bytes"
    raise invalid_argument(f"Feature: {name} has element with unexpected JSON type: {type_name(element)}")


def _read_element(name: str, element: Any, kind: str) -> Any:
    if kind == "bytes":
        return decode_base64(element) if isinstance(element, dict) else element.encode("utf-8", "surrogateescape")
    if kind == "float":
        return float(element)
    if element >= 2**63:
        raise invalid_argument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    return int(element)
