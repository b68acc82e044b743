"""The JSON dialect: values, and rapidjson's errors with their offsets, counted by hand."""

import math
from typing import Any

import pytest

from tfchain.deployment.server.json.parser import _RapidParser, parse_json
from tfchain.deployment.server.status import StatusError


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b' {"a": [1, -2.5, true, false, null, "x"]} ', {"a": [1, -2.5, True, False, None, "x"]}),
        (b"[] trailing", []),
        (b"\xef\xbb\xbf[1]", [1]),
        (b"[18446744073709551615, -9223372036854775808]", [2**64 - 1, -(2**63)]),
        (b"[1e3, 1.5E-2]", [1000.0, 0.015]),
        (b'["table100", 1e100, 1.5e-300]', ["table100", 1e100, 1.5e-300]),
        (b'"\\ud83d\\ude00\\u00e9\\n"', "\U0001f600\u00e9\n"),
        (b'"\xff"', "\udcff"),
        (b'{"a": 1, "a": 2}', {"a": 1}),
        (b"[Infinity, -Infinity, Inf, -Inf]", [math.inf, -math.inf, math.inf, -math.inf]),
        (b"{}", {}),
    ],
)
def test_both_parsers_read_the_same(body: bytes, value: Any) -> None:
    assert parse_json(body) == value
    assert _RapidParser(body).parse() == value


def test_nan_is_read() -> None:
    assert math.isnan(parse_json(b"[NaN]")[0])
    assert math.isnan(_RapidParser(b"[NaN]").parse()[0])


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "The document is empty"),
        (b"  ", "The document is empty. at offset: 2"),
        (b"abc", "Invalid value. at offset: 0"),
        (b"nul", "Invalid value. at offset: 3"),
        (b"[tru]", "Invalid value. at offset: 4"),
        (b"[1,]", "Invalid value. at offset: 3"),
        (b"[1 2]", "Missing a comma or ] after an array element. at offset: 3"),
        (b"[01]", "Missing a comma or ] after an array element. at offset: 2"),
        (b"[1", "Missing a comma or ] after an array element. at offset: 2"),
        (b"{1: 2}", "Missing a name for object member. at offset: 1"),
        (b'{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        (b'{"a": 1 "b"}', "Missing a comma or } after an object member. at offset: 8"),
        (b'{"a": 1,}', "Missing a name for object member. at offset: 8"),
        (b'["abc', "Missing a closing quotation mark in string. at offset: 5"),
        (b'["a\nb"]', "Invalid encoding in string. at offset: 3"),
        (b'["a\\x"]', "Invalid escape character in string. at offset: 3"),
        (b'["\\u12g4"]', "Incorrect hex digit after \\u escape in string. at offset: 2"),
        (b'["\\ud800"]', "The surrogate pair in string is invalid. at offset: 2"),
        (b'["\\udc80"]', "The surrogate pair in string is invalid. at offset: 2"),
        (b"[1.]", "Miss fraction part in number. at offset: 3"),
        (b"[1e]", "Miss exponent in number. at offset: 3"),
        (b"[-]", "Invalid value. at offset: 2"),
        (b"[-Infinitx]", "Invalid value. at offset: 9"),
        (b"[1e999]", "Number too big to be stored in double. at offset: 1"),
        (b"[2.5E+308]", "Number too big to be stored in double. at offset: 1"),
        (b"[0, -1e309]", "Number too big to be stored in double. at offset: 4"),
        (b"[" + b"9" * 310 + b"]", "Number too big to be stored in double. at offset: 1"),
    ],
)
def test_errors_have_rapidjsons_text_and_offset(body: bytes, error: str) -> None:
    with pytest.raises(StatusError) as caught:
        parse_json(body)
    assert caught.value.message == f"JSON Parse error: {error}"


def test_a_document_nested_too_deeply_is_an_error_and_no_crash() -> None:
    with pytest.raises(StatusError, match="nested too deeply"):
        parse_json(b"[" * 100_000)
