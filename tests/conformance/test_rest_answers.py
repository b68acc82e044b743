"""REST answers, byte for byte where TensorFlow Serving's contract gives the bytes."""

import gzip
import json

import pytest

from tests.conformance.conftest import Wire


def test_rows_are_laid_out_in_one_line_with_the_bracket_alone(wire: Wire) -> None:
    reply = wire.predict('{"instances": [1.0, 2.0, 5.0]}')
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.text == '{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}'


def test_columns_are_laid_out_one_value_a_line(wire: Wire) -> None:
    reply = wire.predict('{"inputs": [1, 2.0]}')
    assert reply.text == '{\n    "outputs": [\n        2.5,\n        3.0\n    ]\n}'


def test_rows_of_vectors_are_nested_in_one_line(wire: Wire) -> None:
    reply = wire.predict('{"signature_name": "matrix", "instances": [[1, 2], [3, 4]]}')
    assert reply.text == '{\n    "predictions": [[21.0], [43.0]\n    ]\n}'


def test_rows_of_several_outputs_are_objects(wire: Wire) -> None:
    reply = wire.predict('{"signature_name": "two", "instances": [1.5, -2]}')
    assert reply.text == (
        '{\n    "predictions": [\n'
        '        {\n            "double": 3.0,\n            "is_positive": true\n        },\n'
        '        {\n            "double": -4.0,\n            "is_positive": false\n        }\n'
        "    ]\n}"
    )


def test_columns_of_several_outputs_are_one_object(wire: Wire) -> None:
    reply = wire.predict('{"signature_name": "two", "inputs": {"x": [1.5]}}')
    assert reply.text == (
        '{\n    "outputs": {\n        "double": [\n            3.0\n        ],\n'
        '        "is_positive": [\n            true\n        ]\n    }\n}'
    )


def test_a_scalar_output_stands_alone_in_columns(wire: Wire) -> None:
    assert wire.predict('{"signature_name": "scalar", "inputs": [1, 2]}').text == '{\n    "outputs": 3.0\n}'


def test_rows_of_objects_name_every_input(wire: Wire) -> None:
    reply = wire.predict('{"signature_name": "pair", "instances": [{"a": 1, "b": 2}, {"b": 30, "a": 4}]}')
    assert reply.text == '{\n    "predictions": [3.0, 34.0\n    ]\n}'


def test_extra_keys_beside_the_inputs_are_ignored(wire: Wire) -> None:
    reply = wire.predict('{"signature_name": "pair", "later": [], "inputs": {"a": [1], "zz": 5, "b": [2]}}')
    assert json.loads(reply.text) == {"outputs": [3.0]}


def test_what_follows_the_first_document_is_ignored(wire: Wire) -> None:
    assert wire.predict('{"instances": [1.0]} trailing').status == 200


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("9000000", "9e+06"),
        ("0.00003", "3e-05"),
        ("16777216", "16777216.0"),
        ("0.2", "0.2"),
        ("3", "3.0"),
        ("-0.0", "-0.0"),
        ("0.333333333", "0.333333343"),  # the nearest float, in nine digits
        ("1234567", "1234567.0"),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Inf", "-Infinity"),
        ("1e39", "Infinity"),  # too large for a float, not for a double
        ("-1e-60", "-0.0"),
    ],
)
def test_floats_are_written_with_six_digits_or_nine(wire: Wire, number: str, written: str) -> None:
    reply = wire.predict(f'{{"signature_name": "float32", "instances": [{number}]}}')
    assert reply.text == f'{{\n    "predictions": [{written}\n    ]\n}}'


def test_doubles_keep_seventeen_digits(wire: Wire) -> None:
    reply = wire.predict('{"signature_name": "float64", "instances": [0.1, 0.30000000000000004, 3e-5, 9000000, -0.0]}')
    assert "[0.1, 0.30000000000000004, 3e-05, 9e+06, -0.0" in reply.text


def test_text_goes_through_as_utf8(wire: Wire) -> None:
    reply = wire.predict('{"signature_name": "shout", "instances": ["你好", "a\\"\\\\/\\n\\u001f", "\\ud83d\\ude00"]}')
    assert reply.text == '{\n    "predictions": ["你好!", "a\\"\\\\/\\n\\u001F!", "😀!"\n    ]\n}'


def test_bytes_that_are_no_utf8_go_through_raw(wire: Wire) -> None:
    reply = wire.predict(b'{"signature_name": "shout", "instances": ["\xff", {"b64": "/g=="}]}')
    assert reply.text.encode("utf-8", "surrogateescape") == b'{\n    "predictions": ["\xff!", "\xfe!"\n    ]\n}'


def test_outputs_named_bytes_are_base64(wire: Wire) -> None:
    reply = wire.predict('{"signature_name": "raw", "instances": [{"b64": "AQI="}, "hi"]}')
    assert reply.text == (
        '{\n    "predictions": [{\n            "b64": "AQI="\n        }, '
        '{\n            "b64": "aGk="\n        }\n    ]\n}'
    )


def test_a_base64_value_may_stand_for_a_column(wire: Wire) -> None:
    # one value is a scalar, which the model's vector of texts takes: shapes are not checked against the signature
    assert json.loads(wire.predict('{"signature_name": "shout", "inputs": {"b64": "aGk="}}').text) == {"outputs": "hi!"}


def test_integers_booleans_and_small_types(wire: Wire) -> None:
    def echo(name: str, values: str) -> object:
        return json.loads(wire.predict(f'{{"signature_name": "{name}", "instances": {values}}}').text)["predictions"]

    assert echo("int32", "[-2147483648, 2147483647]") == [-2147483648, 2147483647]
    assert echo("int64", "[9223372036854775807]") == [9223372036854775807]
    assert echo("bool", "[true, false]") == [True, False]
    assert echo("uint8", "[255, 300]") == [255, 44]  # not range-checked: 300 wraps


def test_a_gzip_body_is_inflated_and_a_broken_one_is_empty(wire: Wire) -> None:
    headers = {"Content-Encoding": "gzip"}
    good = wire.http("POST", "/v1/models/hpt:predict", gzip.compress(b'{"instances": [1.0]}'), headers)
    assert good.text == '{\n    "predictions": [2.5\n    ]\n}'
    broken = wire.http("POST", "/v1/models/hpt:predict", b"no gzip", headers)
    assert (broken.status, broken.error) == (400, "JSON Parse error: The document is empty")


def test_a_gzip_body_that_is_cut_short_is_empty_and_the_server_goes_on(wire: Wire) -> None:
    headers = {"Content-Encoding": "gzip"}
    whole = gzip.compress(b'{"instances": [1.0]}')
    for length in (1, 10, len(whole) // 2, len(whole) - 8, len(whole) - 1):  # the last 8 bytes tell that it is whole
        cut = wire.http("POST", "/v1/models/hpt:predict", whole[:length], headers)
        assert (cut.status, cut.error) == (400, "JSON Parse error: The document is empty")
    damaged = bytearray(whole)
    damaged[-5] ^= 1  # the check sum
    assert wire.http("POST", "/v1/models/hpt:predict", bytes(damaged), headers).status == 400
    assert wire.http("POST", "/v1/models/hpt:predict", whole, headers).status == 200


def test_a_version_in_the_path_is_served_and_names_are_decoded(wire: Wire) -> None:
    assert wire.predict('{"instances": [1]}', "/v1/models/hpt/versions/123:predict").status == 200
    assert wire.predict('{"instances": [1]}', "/V1/Models/h%70t:predict").status == 200


def test_status_is_printed_as_protobuf_does(wire: Wire) -> None:
    expected = (
        '{\n "model_version_status": [\n  {\n   "version": "123",\n   "state": "AVAILABLE",\n   "status": {\n'
        '    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )
    for path in ("/v1/models/hpt", "/v1/models/hpt/versions/123", "/v1/models/hpt/labels/any"):
        reply = wire.http("GET", path)
        assert (reply.status, reply.text) == (200, expected)


def test_metadata_lists_every_signature_with_default_values(wire: Wire) -> None:
    reply = wire.http("GET", "/v1/models/hpt/metadata")
    assert reply.text.startswith(
        '{\n"model_spec":{\n "name": "hpt",\n "signature_name": "",\n "version": "123"\n}\n,\n'
        '"metadata": {"signature_def": {\n "signature_def": {\n  "__saved_model_init_op": {\n'
    )
    signature = json.loads(reply.text)["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["defaults"] == {}
    assert json.dumps(signature["inputs"]) == (
        '{"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": false}, '
        '"name": "serving_default_x:0"}}'
    )


def test_cors_headers_come_only_when_they_are_asked_for(wire: Wire, tuned_wire: Wire) -> None:
    assert "access-control-allow-origin" not in wire.http("GET", "/v1/models/hpt").headers
    for reply in (tuned_wire.http("GET", "/v1/models/hpt"), tuned_wire.http("GET", "/v1/models/nope")):
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-methods"] == "POST, GET"
        assert reply.headers["access-control-allow-headers"] == "Content-Type"


def test_options_needs_an_origin(wire: Wire) -> None:
    with_origin = wire.http("OPTIONS", "/v1/models/hpt", headers={"Origin": "https://example.com"})
    assert (with_origin.status, with_origin.text) == (200, "")
    without = wire.http("OPTIONS", "/v1/models/hpt")
    assert (without.status, without.text) == (400, "")


def test_a_run_over_its_time_is_a_gateway_timeout(tuned_wire: Wire) -> None:
    reply = tuned_wire.predict('{"signature_name": "slow", "inputs": 2000000000}')
    assert (reply.status, reply.error) == (504, "Timed out waiting for notification")


def test_xla_is_refused_unless_it_is_switched_on(wire: Wire, tuned_wire: Wire) -> None:
    body = '{"signature_name": "xla", "instances": [2.0]}'
    refused = wire.predict(body)
    assert (refused.status, refused.error) == (500, "XLA compilation disabled")
    assert json.loads(tuned_wire.predict(body).text) == {"predictions": [{"plain": 3.0, "triple": 6.0}]}


def test_many_requests_on_one_connection_are_answered_in_turn(wire: Wire) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", wire.server.rest_port, timeout=10)
    for number in range(20):
        connection.request("POST", "/v1/models/hpt:predict", json.dumps({"instances": [number]}))
        assert json.loads(connection.getresponse().read()) == {"predictions": [number / 2 + 2]}
    connection.close()
