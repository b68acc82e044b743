"""Classify and Regress: the code and the text of every refusal, over REST and gRPC."""

import json

import pytest

from tests.conformance.example_models import CLASSIFY, PREDICT, REGRESS, Asker, to_example


@pytest.mark.parametrize("verb", ["classify", "regress"])
@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "JSON Parse error: The document is empty"),
        ("nope", "JSON Parse error: Invalid value. at offset: 1"),
        ("[1]", "JSON Value: [\n    1\n] Is not object"),
        (
            '{"signature_name": 5}',
            'JSON Value: {\n    "signature_name": 5\n} '
            "not formatted correctly. 'signature_name' key must be a string value.",
        ),
        ("{}", "JSON Value: {} When method is classify, key 'examples' is expected and was not found"),
        ('{"examples": {}}', "JSON Value: {\n    \"examples\": {}\n} Expecting 'examples' value to be an list/array"),
        ('{"examples": []}', "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"),
        ('{"examples": [1]}', "Example must be JSON object but got JSON Number"),
        ('{"examples": [[{}]]}', "Example must be JSON object but got JSON Array"),
        ('{"context": null, "examples": [{}]}', "Example must be JSON object but got JSON Null"),
        ('{"context": [{}]}', "Example must be JSON object but got JSON Array"),
        ('{"examples": [{}, {"x": null}]}', "Feature: x has element with unexpected JSON type: Null"),
        ('{"examples": [{"x": [1, {"a": 2}]}]}', "Feature: x has element with unexpected JSON type: Object"),
        ('{"examples": [{"x": {"b64": 1}}]}', "Feature: x has element with unexpected JSON type: Object"),
        ('{"examples": [{"x": {"b64": "aa", "b": 1}}]}', "Feature: x has element with unexpected JSON type: Object"),
        ('{"examples": [{"x": [[1], 2]}]}', "Feature: x has element with unexpected JSON type: Array"),
        ('{"examples": [{"x": {"b64": "?"}}]}', "Unable to base64 decode"),
        ('{"examples": [{"x": [1, 1.0]}]}', "Unexpected element type in feature: x expecting type: int64"),
        ('{"examples": [{"x": [1.0, 1]}]}', "Unexpected element type in feature: x expecting type: float"),
        ('{"examples": [{"x": ["a", true]}]}', "Unexpected element type in feature: x expecting type: bytes"),
        ('{"examples": [{"x": [0.5, 9223372036854775808]}]}', "Unexpected element type in feature: x expecting type: "
         "float"),
        ('{"examples": [{"x": 9223372036854775808}]}', "Feature: x has uint64_t element. Only int64_t is supported."),
    ],
)  # fmt: skip
def test_a_wrong_body_is_named_before_the_model_is_looked_up(graph: Asker, verb: str, body: str, error: str) -> None:
    for model in ("graph", "nope"):
        reply = graph.rest(verb, body, model)
        assert (reply.status, reply.error) == (400, error)


def test_a_features_name_must_be_text(graph: Asker) -> None:
    reply = graph.rest("classify", b'{"examples": [{"x\xff": 1.0}]}')
    assert (reply.status, reply.error) == (400, "The name of a feature must be UTF-8. Received: b'x\\xff'.")


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("nope:classify", 404, "Servable not found for request: Latest(nope)"),
        ("graph/versions/9:regress", 404, "Servable not found for request: Specific(graph, 9)"),
        ("graph/labels/x:classify", 400, "Unrecognized servable version label: x"),
        ("graph:CLASSIFY", 400, "Malformed request: POST /v1/models/graph:CLASSIFY"),
        ("graph/versions/" + "9" * 30 + ":classify", 400, f"Failed to convert version: {'9' * 30} to numeric."),
    ],
)
def test_a_wrong_path_is_named(graph: Asker, path: str, status: int, error: str) -> None:
    reply = graph.wire.http("POST", f"/v1/models/{path}", b'{"examples": [{}]}')
    assert (reply.status, reply.error) == (status, error)


WRONG_SIGNATURES = [
    ("Classify", "nope", "No signature was found with the name: nope"),
    ("Regress", "nope", "No signature was found with the name: nope"),
    ("Classify", "pair", "Expected one input Tensor."),
    ("Regress", "pair", "Expected one input Tensor."),
    ("Classify", "three", "Expected one or two output Tensors, found 3"),
    ("Regress", "serving_default", "Expected one output Tensor."),
    ("Classify", "flat", "Expected Tensor shape: [batch_size num_classes] but got [2]"),
    ("Classify", "double", "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
    ("Classify", "first", "Expected scores output batch size of 2. Got: 1"),
    ("Classify", "narrow", "Tensors class and score should match in dim_size(1). Got 1 vs. 2"),
    (
        "Regress",
        "wide",
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
    ),
    ("Regress", "total", "Input batch size did not match output batch size: 2 vs. 1"),
    ("Regress", "whole", "Expected output Tensor of DT_FLOAT.  Got: DT_INT32"),
    ("Regress", "parsed", "Expects arg[0] to be float but string is provided"),
]


@pytest.mark.parametrize(("method", "signature", "error"), WRONG_SIGNATURES)
def test_a_signature_of_another_kind_is_named(graph: Asker, method: str, signature: str, error: str) -> None:
    body = json.dumps({"signature_name": signature, "examples": [{}, {}]})
    reply = graph.rest(method.lower(), body)
    assert (reply.status, reply.error) == (400, error)
    request = graph.request(method, to_example(), to_example(), signature=signature)
    assert graph.error(method, request) == ("INVALID_ARGUMENT", error)


@pytest.mark.parametrize(
    ("method", "signature", "start", "end"),
    [
        (
            "classify",
            "renamed",
            'No classification inputs found in SignatureDef: inputs {\n  key: "examples"\n  value {\n',
            f'}}\nmethod_name: "{CLASSIFY}"\n',
        ),
        (
            "classify",
            "neither",
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            'Signature was: inputs {\n  key: "inputs"\n  value {\n    name: "examples:0"\n    dtype: DT_STRING\n',
            f'}}\nmethod_name: "{CLASSIFY}"\n',
        ),
        (
            "regress",
            "renamed_regress",
            'No regression inputs found in SignatureDef: inputs {\n  key: "examples"\n',
            f'}}\nmethod_name: "{REGRESS}"\n',
        ),
        (
            "regress",
            "unnamed",
            'No regression outputs found in SignatureDef: inputs {\n  key: "inputs"\n',
            f'}}\nmethod_name: "{REGRESS}"\n',
        ),
    ],
)
def test_a_signature_with_other_names_is_printed(
    graph: Asker, method: str, signature: str, start: str, end: str
) -> None:
    reply = graph.rest(method, json.dumps({"signature_name": signature, "examples": [{}]}))
    assert reply.status == 400
    assert reply.error.startswith(start)
    assert reply.error.endswith(end)


@pytest.mark.parametrize("method", ["Classify", "Regress"])
def test_an_empty_input_is_named_after_the_signature(graph: Asker, method: str) -> None:
    signature = "scores" if method == "Classify" else "regress"
    assert graph.error(method, graph.request(method, signature=signature)) == ("INVALID_ARGUMENT", "Input is empty.")
    with_context = graph.request(method, signature=signature, context=to_example(x=[1.0]))
    assert graph.error(method, with_context) == ("INVALID_ARGUMENT", "Input is empty.")
    without = graph.request(method, signature=signature)
    without.ClearField("input")
    assert graph.error(method, without) == ("INVALID_ARGUMENT", "Input is empty.")
    nowhere = graph.request(method, signature="nope")
    assert graph.error(method, nowhere)[1] == "No signature was found with the name: nope"


@pytest.mark.parametrize("method", ["Classify", "Regress"])
def test_a_wrong_model_spec_is_named(graph: Asker, method: str) -> None:
    without = graph.request(method)
    without.ClearField("model_spec")
    assert graph.error(method, without) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    for spec, code, text in (
        ({"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"name": "nope"}, "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        ({"version": 9}, "NOT_FOUND", "Servable not found for request: Specific(graph, 9)"),
        ({"label": "x"}, "INVALID_ARGUMENT", "Unrecognized servable version label: x"),
    ):
        assert graph.error(method, graph.request(method, **spec)) == (code, text)


def test_the_engines_text_comes_through(graph: Asker) -> None:
    for error in (
        graph.rest("classify", '{"examples": [{"x": 4}]}').error,
        graph.error("Classify", graph.request("Classify", to_example(x=[4])))[1],
    ):
        assert "Data types don't match. Data type: int64 but expected type: float" in error


@pytest.mark.parametrize(
    ("method", "signature", "error"),
    [
        ("Classify", "predict", f"Expected classification signature method_name to be {CLASSIFY}. Was: {PREDICT}"),
        ("Classify", "regress", f"Expected classification signature method_name to be {CLASSIFY}. Was: {REGRESS}"),
        ("Classify", "three", "Expected one or two output Tensors, found 3"),
        ("Regress", "scores", f"Expected regression signature method_name to be {REGRESS}. Was: {CLASSIFY}"),
        ("Regress", "pair", "Expected one input Tensor."),
    ],
)
def test_another_method_name_is_refused_where_names_are_checked(
    checked_graph: Asker, method: str, signature: str, error: str
) -> None:
    request = checked_graph.request(method, to_example(), signature=signature)
    assert checked_graph.error(method, request) == ("INVALID_ARGUMENT", error)
    reply = checked_graph.rest(method.lower(), json.dumps({"signature_name": signature, "examples": [{}]}))
    assert (reply.status, reply.error) == (400, error)


def test_the_right_method_names_answer_where_names_are_checked(checked_graph: Asker) -> None:
    assert checked_graph.results("classify", [{"x": 1.0}]) == [[["no", 0.0], ["yes", 1.0]]]
    assert checked_graph.results("regress", [{"x": 1.0}], "regress") == [3.0]
    assert checked_graph.rest("predict", '{"signature_name": "predict", "instances": [""]}').status == 200
    reply = checked_graph.rest("predict", '{"instances": [""]}')  # a signature of Classify may be asked by Predict
    assert json.loads(reply.text) == {"predictions": [{"classes": ["no", "yes"], "scores": [1.0, 0.0]}]}


def test_predict_takes_any_of_the_three_method_names_where_names_are_checked(
    graph: Asker, checked_graph: Asker
) -> None:
    from tensorflow_serving.apis import predict_pb2

    body = '{"signature_name": "own", "instances": [""]}'
    assert graph.rest("predict", body).status == 200
    text = (
        f"Expected prediction signature method_name to be one of {{{PREDICT}, {CLASSIFY}, {REGRESS}}}. Was: own/method"
    )
    reply = checked_graph.rest("predict", body)
    assert (reply.status, reply.error) == (500, text)
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "graph", "own"
    assert checked_graph.error("Predict", request) == ("INTERNAL", text)
