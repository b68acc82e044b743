"""REST errors: the status, and the text that TensorFlow Serving's contract gives."""

import pytest

from tests.conformance.conftest import Wire

NAMED = "/v1/models/hpt:predict"
SECOND = "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "


def test_the_error_body_is_pretty_json(wire: Wire) -> None:
    reply = wire.predict("")
    assert (reply.status, reply.headers["content-type"]) == (400, "application/json")
    assert reply.text == '{\n    "error": "JSON Parse error: The document is empty"\n}'


@pytest.mark.parametrize(
    ("signature", "body", "error"),
    [
        ("", "nope", "JSON Parse error: Invalid value. at offset: 1"),
        ("", "abc", "JSON Parse error: Invalid value. at offset: 0"),
        ("", "[1]", "JSON Value: [\n    1\n] Is not object"),
        (
            "",
            '{"signature_name": 5, "instances": [1]}',
            'JSON Value: {\n    "signature_name": 5,\n    "instances": [\n        1\n    ]\n} '
            "not formatted correctly. 'signature_name' key must be a string value.",
        ),
        (
            "",
            '{"inputs": 1, "instances": [1]}',
            'JSON Value: {\n    "inputs": 1,\n    "instances": [\n        1\n    ]\n} '
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        ),
        ("", '{"instances": 1}', "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array"),
        ("", '{"instances": []}', "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        ("", "{}", "Missing 'inputs' or 'instances' key"),
        (
            "",
            '{"signature_name": "nope", "instances": [1]}',
            'Serving signature name: "nope" not found in signature def',
        ),
        (
            "",
            '{"signature_name": "__saved_model_init_op", "instances": [1]}',
            "Failed to get input map for signature: __saved_model_init_op",
        ),
        ("", '{"inputs": ["a"]}', 'JSON Value: "a" Type: String is not of expected type: float'),
        ("", '{"inputs": [null]}', "JSON Value: null Type: Null is not of expected type: float"),
        ("", '{"inputs": [true]}', "JSON Value: true Type: True is not of expected type: float"),
        ("", '{"inputs": [{}]}', "JSON Value: {} Type: Object is not of expected type: float"),
        ("int32", '{"inputs": [1.0]}', "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ("int32", '{"inputs": [1e0]}', "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ("int32", '{"inputs": [2147483648]}', "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
        ("bool", '{"inputs": [1]}', "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("shout", '{"inputs": [1]}', "JSON Value: 1 Type: Number is not of expected type: string"),
        (
            "shout",
            '{"inputs": [{"b65": "aGk="}]}',
            'JSON Value: {\n    "b65": "aGk="\n} not formatted correctly for base64 data',
        ),
        ("shout", '{"inputs": [{"b64": "?"}]}', "Unable to base64 decode"),
        (
            "matrix",
            '{"inputs": [[1, 2], 3]}',
            "JSON Value: 3 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        ("matrix", '{"inputs": [1, [2]]}', "Encountered list at unexpected level: 1 expected < 1"),
        (
            "matrix",
            '{"inputs": [[1, 2], [3]]}',
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        ("matrix", '{"instances": [[1, 2], [3]]}', SECOND + "Expecting tensor size: 2 but got: 1"),
        ("matrix", '{"instances": [[1, 2], [[1, 2]]]}', SECOND + "Expecting shape [2] but got: [1,2]"),
        ("matrix", '{"instances": [[1, 2], [[1], [2]]]}', SECOND + "Expecting shape [2] but got: [2,1]"),
        ("", '{"instances": [1, "a"]}', SECOND + 'JSON Value: "a" Type: String is not of expected type: float'),
        (
            "pair",
            '{"instances": [{"a": "q", "b": 1}]}',
            "Failed to process element: 0 key: a of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "q" Type: String is not of expected type: float',
        ),
        (
            "pair",
            '{"instances": [{"a": 1}]}',
            "Failed to process element: 0 of 'instances' list. "
            'JSON object: {\n    "a": 1\n} keys must be equal to: a,b',
        ),
        (
            "pair",
            '{"instances": [{"zz": 1}]}',
            "Failed to process element: 0 key: zz of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: zz",
        ),
        (
            "pair",
            '{"instances": [{"a": 1, "b": 2}, 5]}',
            "Expecting object but got list at item 1 of input list",
        ),
        ("", '{"instances": [1, {"x": 2}]}', "Expecting value/list but got object at item 1 of input list"),
        (
            "pair",
            '{"instances": [1]}',
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        (
            "pair",
            '{"inputs": [1]}',
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        ("pair", '{"inputs": {"a": [1]}}', "Missing named input: b in 'inputs' object."),
        ("scalar", '{"instances": [1]}', "Tensor name: s has no shape information "),
        ("uneven", '{"instances": [1]}', "Tensor name: q has inconsistent batch size: 2 expecting: 1"),
        ("uint16", '{"inputs": []}', None),
    ],
)
def test_a_wrong_body_is_named(wire: Wire, signature: str, body: str, error: str | None) -> None:
    if signature:
        body = body.replace("{", f'{{"signature_name": "{signature}", ', 1)
    reply = wire.predict(body)
    if error is None:
        assert reply.status == 200  # nothing to convert, nothing to refuse
        return
    assert reply.status == 400
    if signature:  # the signature's name is part of a quoted document only
        assert f'"signature_name": "{signature}"' not in error
    assert reply.error == error


def test_types_that_json_cannot_carry_are_not_implemented(wire: Wire) -> None:
    reply = wire.predict('{"signature_name": "float16", "inputs": [1.5]}')
    assert (reply.status, reply.error) == (501, "Conversion of JSON Value: 1.5 to type: half")
    reply = wire.predict('{"signature_name": "float16", "instances": [1.5]}')
    # rows wrap what went wrong, and are INVALID_ARGUMENT for that
    assert (reply.status, reply.error) == (
        400,
        "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: "
        "Conversion of JSON Value: 1.5 to type: half",
    )


def test_a_quoted_value_is_cut(wire: Wire) -> None:
    reply = wire.predict('{"inputs": ["' + "a" * 10_000 + '"]}')
    assert reply.error == 'JSON Value: "' + "a" * 255 + " Type: String is not of expected type: float"


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("POST", "/v1/models/hpt:bogus", 400, "Malformed request: POST /v1/models/hpt:bogus"),
        ("POST", "/v1/models/hpt:PREDICT", 400, "Malformed request: POST /v1/models/hpt:PREDICT"),
        ("POST", "/v1/models/hpt:predict?a=1", 400, "Malformed request: POST /v1/models/hpt:predict?a=1"),
        ("POST", "/v1/models/hpt", 400, "Malformed request: POST /v1/models/hpt"),
        ("PUT", "/v1/models/hpt:predict", 400, "Malformed request: PUT /v1/models/hpt:predict"),
        ("DELETE", "/v1/models/hpt", 400, "Malformed request: DELETE /v1/models/hpt"),
        ("PATCH", "/v1/models/hpt", 400, "Malformed request: PATCH /v1/models/hpt"),
        ("GET", "/v1/models/hpt:predict", 400, "Malformed request: GET /v1/models/hpt:predict"),
        ("GET", "/V1/models", 400, "Missing model name in request."),
        (
            "GET",
            "/v1/models/hpt/versions/" + "9" * 30,
            400,
            f"Failed to convert version: {'9' * 30} to numeric.",
        ),
        ("GET", "/v1/models/nope", 404, "Could not find any versions of model nope"),
        ("GET", "/v1/models/hpt/versions/9", 404, "Could not find version 9 of model hpt"),
        ("GET", "/v1/models/nope/metadata", 404, "Servable not found for request: Latest(nope)"),
        ("GET", "/v1/models/hpt/labels/x/metadata", 400, "Unrecognized servable version label: x"),
        ("POST", "/v1/models/nope:predict", 404, "Servable not found for request: Latest(nope)"),
        ("POST", "/v1/models/hpt/versions/99:predict", 404, "Servable not found for request: Specific(hpt, 99)"),
        ("POST", "/v1/models/hpt/labels/nope:predict", 400, "Unrecognized servable version label: nope"),
    ],
)
def test_a_wrong_path_is_named(wire: Wire, method: str, path: str, status: int, error: str) -> None:
    reply = wire.http(method, path, b'{"instances": [1]}' if method == "POST" else None)
    assert (reply.status, reply.error) == (status, error)


def test_paths_outside_the_api_get_the_http_librarys_page(wire: Wire) -> None:
    reply = wire.http("GET", "/nope")
    assert reply.status == 404
    assert reply.headers["content-type"] == "text/html"
    assert "<H1>Not Found</H1>" in reply.text


def test_a_head_request_is_malformed_and_has_no_body(wire: Wire) -> None:
    reply = wire.http("HEAD", "/v1/models/hpt")
    assert (reply.status, reply.text) == (400, "")


def test_a_broken_body_is_found_before_the_missing_model(wire: Wire) -> None:
    assert wire.predict("{", "/v1/models/nope:predict").status == 400
    assert wire.predict('{"signature_name": 1}', "/v1/models/nope:predict").status == 400
    assert wire.predict('{"instances": 1}', "/v1/models/nope:predict").status == 404


def test_the_engines_text_comes_through(wire: Wire) -> None:
    reply = wire.predict('{"signature_name": "matrix", "instances": [[1, 2, 3]]}')
    assert reply.status == 400
    assert reply.error.startswith("Matrix size-incompatible: In[0]: [1,3], In[1]: [2,1]\n\t [[{{")
