"""What is printed for people: numbers, lines and tables."""

from typing import Any

import pytest

from tfchain.cli.output import print_json, print_values, to_line, to_snippet, to_words
from tfchain.core.types import Hit


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0.0000"), (0.25, "0.2500"), (-0.25, "-0.2500"), (-1.0, "-1.0000"), (0.001, "0.0010"),
        (0.0005, "0.0005"), (-0.00002, "-2e-05"), (1234567, "1,234,567"), (0, "0"), (True, "yes"), (False, "no"),
        ("a", "a"), (["a", 1, 0.5], "a, 1, 0.5000"), ({"a": 1, "b": [True, 2000]}, "a 1, b yes, 2,000"), ([], ""),
    ],
)  # fmt: skip
def test_values_are_written_as_people_read_them(value: Any, expected: str) -> None:
    assert to_words(value) == expected


def test_a_zero_is_printed_and_what_is_not_known_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_values({"added": 0, "encoded_again": None, "name": "", "index_path": "a  b"})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["added", "0"], ["name"], ["index", "path", "a", "b"]]


def test_a_snippet_has_at_most_160_characters() -> None:
    assert to_snippet(Hit("a", 1, "x" * 160)) == "x" * 160
    assert to_snippet(Hit("a", 1, "x" * 161)) == "x" * 159 + "…"
    assert to_snippet(Hit("a", 1, "x" * 158 + " yz")) == "x" * 158 + "…"


def test_a_snippet_begins_with_the_title() -> None:
    assert to_snippet(Hit("a", 1, "the\n text", title="Title")) == "Title — the text"
    assert to_snippet(Hit("a", 1, "text")) == "text"
    assert to_snippet(Hit("a", 1, "", title="Title")) == "Title"


def test_a_line_is_one_line_without_control_characters() -> None:
    assert to_line(" a\n\tb\x1b[2J\x00c  d ") == "a b [2J c d"


def test_json_is_one_line_with_its_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "你好\n", "n": 1})
    assert capsys.readouterr().out == '{"name": "你好\\n", "n": 1}\n'
