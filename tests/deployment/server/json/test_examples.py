"""Bodies of Classify and Regress requests: the `tf.Example`s that stock TensorFlow Serving's own tests expect."""

import math
from typing import Any

import pytest
from tensorflow.core.example import example_pb2

from tfchain.deployment.server.json.examples import read_examples_request
from tfchain.deployment.server.status import StatusError


def read(body: str) -> list[dict[str, tuple[str | None, list[Any]]]]:
    found = []
    for data in read_examples_request(body.encode()).examples:
        features = example_pb2.Example.FromString(data).features.feature
        kinds = {name: feature.WhichOneof("kind") for name, feature in features.items()}
        found.append(
            {name: (kind, list(getattr(features[name], kind).value) if kind else []) for name, kind in kinds.items()}
        )
    return found


def test_every_value_becomes_a_list_of_its_kind() -> None:
    (found,) = read(
        '{"examples": [{"names": ["foo", {"b64": "aGVsbG8="}], "ratings": [8.0, 9.5], "age": 20, '
        '"mix": [1, true, false], "none": []}]}'
    )
    assert found == {
        "names": ("bytes_list", [b"foo", b"hello"]),
        "ratings": ("float_list", [8.0, 9.5]),
        "age": ("int64_list", [20]),
        "mix": ("int64_list", [1, 1, 0]),
        "none": (None, []),
    }


def test_numbers_that_are_not_finite_or_too_large_are_floats() -> None:
    (found,) = read('{"examples": [{"x": [NaN, Infinity, -Infinity, 1e300, 36893488147419103232]}]}')
    kind, values = found["x"]
    assert kind == "float_list"
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf, math.inf, 2.0**65]


def test_the_context_is_in_every_example() -> None:
    found = read('{"context": {"query": "pizza", "place": 1}, "examples": [{"place": 2}, {}]}')
    query = ("bytes_list", [b"pizza"])
    assert found == [
        {"query": query, "place": ("int64_list", [2])},
        {"query": query, "place": ("int64_list", [1])},
    ]


def test_the_signature_is_read_and_other_keys_are_not() -> None:
    request = read_examples_request(b'{"signature_name": "own", "more": [null], "examples": [{}]}')
    assert (request.signature_name, request.examples) == ("own", [b""])


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    (data,) = read_examples_request(b'{"examples": [{"x": "\xff"}]}').examples
    assert example_pb2.Example.FromString(data).features.feature["x"].bytes_list.value[:] == [b"\xff"]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ("[20, 18446744073709551603]", "Feature: x has uint64_t element. Only int64_t is supported."),
        ("[10, 10.0]", "Unexpected element type in feature: x expecting type: int64"),
        ("[10, {}]", "Feature: x has element with unexpected JSON type: Object"),
        ("[true, null]", "Feature: x has element with unexpected JSON type: Null"),
        ("false, \"y\": [[]]", "Feature: y has element with unexpected JSON type: Array"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(values: str, error: str) -> None:
    with pytest.raises(StatusError) as caught:
        read(f'{{"examples": [{{"x": {values}}}]}}')
    assert str(caught.value) == f"INVALID_ARGUMENT: {error}"
