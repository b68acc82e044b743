"""Single values as text, worked out by hand from C's `%g` and rapidjson's writer."""

import numpy as np
import pytest

from tfchain.deployment.server.json.text import dump, format_floats, quote, quote_utf8


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9000000, "9e+06"),
        (0.00003, "3e-05"),
        (16777216, "16777216.0"),
        (0.1, "0.1"),
        (1, "1.0"),
        (-0.0, "-0.0"),
        (123456, "123456.0"),
        (1 / 3, "0.333333343"),
        (np.nan, "NaN"),
        (np.inf, "Infinity"),
        (-np.inf, "-Infinity"),
        (3.4028235e38, "3.40282347e+38"),
        (1e-45, "1.4013e-45"),
    ],
)
def test_floats_have_six_digits_or_nine(value: float, text: str) -> None:
    assert format_floats(np.array([value], np.float32)) == [text]


def test_doubles_have_six_digits_or_seventeen() -> None:
    assert format_floats(np.array([0.1, 1 / 3, 2.0])) == ["0.1", "0.33333333333333331", "2.0"]


def test_many_floats_are_written_as_each_alone() -> None:
    generator = np.random.default_rng(7)
    bits = generator.integers(0, 2**32, 20_000, dtype=np.uint32)
    bits[(bits & 0x7F800000) == 0x7F800000] = 0x7F800000  # NaNs of all kinds to infinity
    tens = (10.0 ** np.arange(-40, 39)).astype(np.float32)
    short = (generator.integers(0, 10**6, 20_000) / 10.0 ** generator.integers(-3, 9, 20_000)).astype(np.float32)
    values = np.concatenate(
        [bits.view(np.float32), short, tens, np.nextafter(tens, np.float32(0)), [np.float32(np.nan)]]
    )
    for value, text in zip(values, format_floats(values), strict=True):
        number = float(value)
        six = f"{number:.6g}"
        if not np.isfinite(value):
            expected = "NaN" if np.isnan(value) else "Infinity"
        else:
            with np.errstate(over="ignore"):
                expected = six if np.float32(six) == value else f"{number:.9g}"
            expected += "" if "." in expected or "e" in expected else ".0"
        assert text == expected


def test_strings_escape_control_characters_with_capital_digits() -> None:
    assert quote('a"\\/\b\f\n\r\t\x1f\x7fé你\\u001f') == '"a\\"\\\\/\\b\\f\\n\\r\\t\\u001F\x7fé你\\\\u001f"'


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (b"plain", '"plain"'),
        (b"", '""'),
        (b'a"\n\\\n"', '"a\\"\\n\\\\\\n\\""'),
        (b'a"\x1f\t', '"a\\"\\u001F\\t"'),
        ("é你\x7f\u2028".encode(), '"é你\x7f\u2028"'),
        (b"\xff\n", '"\udcff\\n"'),
    ],
    ids=["plain", "empty", "common escapes", "control characters", "other characters", "not UTF-8"],
)
def test_bytes_are_quoted_as_their_text_is(text: bytes, quoted: str) -> None:
    assert quote_utf8(text) == quoted
    assert quote(text.decode("utf-8", "surrogateescape")) == quoted


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (
            [1e30, 0.00001, 1e-7, 1.5, 1e20, 1.2e21],
            "[\n    1e30,\n    0.00001,\n    1e-7,\n    1.5,\n    100000000000000000000.0,\n    1.2e21\n]",
        ),
        ({"a": [], "b": {}, "c": None}, '{\n    "a": [],\n    "b": {},\n    "c": null\n}'),
        ("text", '"text"'),
        (True, "true"),
        (7, "7"),
    ],
)
def test_quoted_values_are_pretty(value: object, text: str) -> None:
    assert dump(value) == text


def test_a_large_value_is_cut_after_256_bytes() -> None:
    assert len(dump(list(range(1000)))) == 256
    assert dump({"k" * 300: 1}) == '{\n    "' + "k" * 249
