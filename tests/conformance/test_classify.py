"""Classify and Regress over REST and gRPC: answers, and how examples are read."""

from typing import Any

import pytest

from tests.conformance.conftest import VERSION
from tests.conformance.example_models import Asker, to_example


def test_a_rest_answer_is_laid_out_as_in_the_stock_server(graph: Asker) -> None:
    reply = graph.rest("classify", '{"examples": [{"x": 0.25}, {"x": 1.0}]}')
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.text == '{\n    "results": [[["no", 0.75], ["yes", 0.25]], [["no", 0.0], ["yes", 1.0]]\n    ]\n}'
    reply = graph.rest("regress", '{"signature_name": "regress", "examples": [{"x": 0.25}, {"x": -4e9}]}')
    assert reply.text == '{\n    "results": [1.5, -8e+09]\n}'


def test_numbers_are_written_as_predict_writes_them(module: Asker) -> None:
    body = '{"signature_name": "regress", "examples": [{"x": 1.0}, {"x": NaN}, {"x": Infinity}, {"x": -Infinity}]}'
    reply = module.rest("regress", body)
    assert reply.text == '{\n    "results": [0.333333343, NaN, Infinity, -Infinity]\n}'


def test_functions_of_tensorflow_2_classify_and_regress(module: Asker) -> None:
    assert module.results("classify", [{"word": "you"}]) == [[["you", 3.0], ["you!", 1.0]]]
    assert module.results("regress", [{"x": 6.0}], "regress") == [2.0]
    response = module.call("Classify", module.request("Classify", to_example(word=["you"])))
    assert [(one.label, one.score) for one in response.result.classifications[0].classes] == [("you", 3), ("you!", 1)]
    response = module.call("Regress", module.request("Regress", to_example(x=[6.0]), signature="regress"))
    assert [one.value for one in response.result.regressions] == [2]


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("", [[["no", 0.5], ["yes", 0.5]], [["no", 1.0], ["yes", 0.0]]]),
        ("serving_default", [[["no", 0.5], ["yes", 0.5]], [["no", 1.0], ["yes", 0.0]]]),
        ("scores", [[["", 0.5], ["", 0.5]], [["", 1.0], ["", 0.0]]]),
        ("classes", [[["no", 0.0], ["yes", 0.0]]] * 2),
        ("same", [[["no", 0.0], ["yes", 0.0]]] * 2),  # one tensor for both
        ("predict", [[["", 0.5], ["", 0.5]], [["", 1.0], ["", 0.0]]]),  # method names are not checked
    ],
)
def test_a_signature_may_have_classes_scores_or_both(graph: Asker, signature: str, expected: Any) -> None:
    assert graph.results("classify", [{"x": 0.5}, {}], signature) == expected
    request = graph.request("Classify", to_example(x=[0.5]), to_example(), signature=signature)
    response = graph.call("Classify", request)
    found = [[[each.label, each.score] for each in row.classes] for row in response.result.classifications]
    assert found == expected


@pytest.mark.parametrize("signature", ["regress", "column"])
def test_a_regression_is_a_list_or_a_column(graph: Asker, signature: str) -> None:
    expected = [2.0, 1.0] if signature == "regress" else [0.5, 0.0]
    assert graph.results("regress", [{"x": 0.5}, {}], signature) == expected
    response = graph.call("Regress", graph.request("Regress", to_example(x=[0.5]), to_example(), signature=signature))
    assert [one.value for one in response.result.regressions] == expected


@pytest.mark.parametrize("method", ["Classify", "Regress"])
def test_a_grpc_answer_names_model_version_and_signature(graph: Asker, method: str) -> None:
    signature = "" if method == "Classify" else "regress"
    spec = graph.call(method, graph.request(method, to_example(), signature=signature, version=VERSION)).model_spec
    assert (spec.name, spec.version.value) == ("graph", VERSION)
    assert spec.signature_name == (signature or "serving_default")


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ({}, ["", "", ""]),
        ({"words": "one"}, ["one", "", ""]),
        ({"words": ["one", "你"]}, ["one,你", "", ""]),
        ({"words": {"b64": "aGVsbG8="}}, ["hello", "", ""]),
        ({"words": ["a", {"b64": "aGVsbG8="}]}, ["a,hello", "", ""]),
        ({"words": []}, ["", "", ""]),
        ({"ints": 4}, ["", "4", ""]),
        ({"ints": [1, True, False, -5]}, ["", "1,1,0,-5", ""]),
        ({"ints": 2**63 - 1}, ["", "9223372036854775807", ""]),
        ({"floats": 0.5}, ["", "", "0.500000"]),
        ({"floats": [1.0, 2.5]}, ["", "", "1.000000,2.500000"]),
        ({"floats": [1e300, -1e300, 1e-300]}, ["", "", "inf,-inf,0.000000"]),
        ({"floats": [2**64, -(2**63) - 1]}, ["", "", "18446744073709551616.000000,-9223372036854775808.000000"]),
        ({"floats": [float("nan"), float("inf")]}, ["", "", "nan,inf"]),
        ({"ints": 4, "floats": 4.0, "words": "4", "unknown": [1.5]}, ["4", "4", "4.000000"]),
    ],
)
def test_json_values_become_features(graph: Asker, example: Any, expected: list[str]) -> None:
    assert graph.results("classify", [example], "features") == [[[label, 0.0] for label in expected]]


@pytest.mark.parametrize(
    ("context", "examples", "expected"),
    [
        ({"words": "c"}, [{"ints": 1}, {"ints": 2}], [["c", "1", ""], ["c", "2", ""]]),
        ({"words": "c", "ints": 7}, [{"words": ["own"]}, {}], [["own", "7", ""], ["c", "7", ""]]),
        ({}, [{"ints": 1}], [["", "1", ""]]),
    ],
)
def test_a_contexts_features_are_in_every_example_that_has_none_of_the_name(
    graph: Asker, context: Any, examples: list[Any], expected: list[list[str]]
) -> None:
    found = graph.results("classify", examples, "features", context)
    assert [[label for label, _ in row] for row in found] == expected

    def to_proto(json_example: Any) -> Any:
        return to_example(**{name: v if isinstance(v, list) else [v] for name, v in json_example.items()})

    request = graph.request("Classify", *map(to_proto, examples), signature="features", context=to_proto(context))
    rows = graph.call("Classify", request).result.classifications
    assert [[each.label for each in row.classes] for row in rows] == expected


def test_labels_that_are_no_text_are_written_through_over_rest_and_refused_over_grpc(module: Asker) -> None:
    reply = module.rest("classify", '{"examples": [{"word": {"b64": "/w=="}}]}')
    assert reply.text.startswith('{\n    "results": [[["\udcff", 1.0], ["\udcff!", 0.333333343]]\n')
    assert module.error("Classify", module.request("Classify", to_example(word=[b"\xff"]))) == (
        "INTERNAL",
        "A label must be UTF-8 to be sent over gRPC. Received from the model: b'\\xff'.",
    )


@pytest.mark.parametrize("path", ["versions/123", "versions/0123"])
def test_a_version_in_the_path_is_asked(graph: Asker, path: str) -> None:
    reply = graph.wire.http("POST", f"/v1/models/graph/{path}:classify", b'{"examples": [{}]}')
    assert reply.status == 200


def test_a_run_over_its_time_ends_over_both_protocols(graph: Asker, checked_graph: Asker) -> None:
    reply = checked_graph.rest("regress", '{"signature_name": "slow", "examples": [{"ints": 9000000000000}]}')
    assert (reply.status, reply.error) == (504, "Timed out waiting for notification")
    request = graph.request("Regress", to_example(ints=[9_000_000_000_000]), signature="slow")
    assert graph.error("Regress", request, timeout=0.3)[0] == "DEADLINE_EXCEEDED"
