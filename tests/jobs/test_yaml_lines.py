"""YAML with lines: plain values as YAML 1.2 has them, and an error with file and line for all else."""

from pathlib import Path
from typing import Any, Literal

import pytest

from tfchain.core.errors import InputError
from tfchain.jobs.yaml_lines import Node, located, read_yaml


def read(text: str | bytes, tmp_path: Path) -> Node:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(path)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2e-5", 2e-5),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.25", -0.25),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        # what YAML 1.1 reads otherwise
        ("no", "no"),
        ("on", "on"),
        ("010", 10),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("<<", "<<"),
        ("'12'", "12"),
        ('"你好\\n"', "你好\n"),
        ("[1, two, [3.0]]", [1, "two", [3.0]]),
        ("{a: 1, b: {c: x}}", {"a": 1, "b": {"c": "x"}}),
    ],
)
def test_plain_values_are_those_of_yaml_1_2(written: str, value: object, tmp_path: Path) -> None:
    found = read(f"key: {written}\n", tmp_path).value["key"].to_plain()

    assert found == value
    assert type(found) is type(value)


def test_every_value_knows_its_name_and_its_line(tmp_path: Path) -> None:
    root = read("# a comment\n\na: 1\nb:\n  c:\n    - x\n    - y\n  d:\n    2\n", tmp_path)
    file = tmp_path / "a.yaml"

    assert (root.value["a"].name, root.value["a"].place) == ("a", f"{file}:3")
    inner = root.value["b"].value
    assert [(one.name, one.place) for one in inner["c"].value] == [("b.c[0]", f"{file}:6"), ("b.c[1]", f"{file}:7")]
    assert (inner["d"].name, inner["d"].place) == ("b.d", f"{file}:8")  # where its key stands


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: the file is empty"),
        ("# only a comment\n", ":1: the file is empty"),
        ("a: 1\nb: [1, 2\nc: 3\n", ":3: is not YAML: while parsing a flow sequence"),
        ("a: 1\n\tb: 2\n", ":2: is not YAML: "),
        ("a: 1\n  b: 2\n", ":2: is not YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 2\n", ":2: is not YAML: "),
        ("a: 1\nb: 2\na: 3\n", ":3: `a` appears twice, first in line 1"),
        ("x:\n  a: 1\n  a: 3\n", ":3: `x.a` appears twice, first in line 2"),
        ("a: &one [1]\nb: *one\n", ":2: anchors (&, *) are not known here"),
        ("a: &one [*one]\n", ":1: anchors (&, *) are not known here"),
        (
            "a: 1\nb: !!python/object/apply:os.system [ls]\n",
            ":2: the tag tag:yaml.org,2002:python/object/apply:os.system",
        ),
        ("a: !!binary aGk=\n", ":1: the tag tag:yaml.org,2002:binary"),
        ("[a]: 1\n", ":1: a key must be a word"),
        (b"a: 1\nb: caf\xe9\n", ":2: is not UTF-8"),
        ("a: 1\nb: x\x00y\n", ":2: is not YAML: "),
        ("a: " + "[" * 1000, ":1: is not a configuration: its values are nested too deep"),
    ],
)
def test_what_is_no_plain_yaml_is_an_error_with_its_line(text: str | bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(text, tmp_path)

    assert str(caught.value).startswith(f"{tmp_path / 'a.yaml'}{words}")
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    assert read(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", tmp_path).to_plain() == {"a": 1, "b": 2}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file: .*gone.yaml"):
        read_yaml(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("written", "kind", "expected"),
    [
        ("two", int, "`k` must be a whole number. Received: 'two'."),
        ("2.0", int, "a whole number. Received: 2.0"),
        ("true", int, "a whole number. Received: True"),
        ("true", float, "a number. Received: True"),
        ("1", bool, "true or false. Received: 1"),
        ("1", str, "a text. Received: 1"),
        ("c", Literal["a", "b"], "one of a, b. Received: 'c'"),
        ("c", Literal["epoch"] | int, "one of epoch or a whole number. Received: 'c'"),
        ("[1, x]", list[int], "a list (a whole number each). Received: [1, 'x']"),
        ("1.5", int | tuple[int, ...], "a whole number or a list (a whole number each). Received: 1.5"),
        ("[]", int | None, "a whole number or empty. Received: []"),
    ],
)
def test_a_value_of_another_type_is_an_error(written: str, kind: Any, expected: str, tmp_path: Path) -> None:
    node = read(f"\nk: {written}\n", tmp_path).value["k"]

    with pytest.raises(InputError) as caught:
        node.read(kind)
    assert str(caught.value).startswith(f"{tmp_path / 'a.yaml'}:2: ")
    assert expected in str(caught.value)


def test_a_value_of_the_right_type_is_given_back(tmp_path: Path) -> None:
    root = read("a: 3\nb: [1, 2]\nc: epoch\n", tmp_path).value

    assert root["a"].read(float) == 3
    assert root["b"].read(int | tuple[int, ...]) == [1, 2]
    assert root["c"].read(Literal["epoch"] | int) == "epoch"


def test_located_says_where(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^a\.yaml:3: too small$"), located("a.yaml:3"):
        raise InputError("too small")
