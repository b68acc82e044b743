"""Version folders of a base path."""

from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.repository import (
    DESCRIPTION,
    latest_version,
    list_versions,
    next_version,
    parse_version,
    read_description,
    read_source,
)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1", 1),
        ("001", 1),
        (" 7\t", 7),
        ("-3", -3),
        ("+4", 4),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("", None),
        ("1.0", None),
        ("v1", None),
        ("1 2", None),
        ("\u0661", None),
        ("9" * 5000, None),  # no file has such a name; the command line may
    ],
)
def test_names_are_read_as_numbers_of_64_bits(name: str, version: int | None) -> None:
    assert parse_version(name) == version


def test_versions_come_in_order_and_other_names_are_passed_over(tmp_path: Path) -> None:
    for name in ("10", "2", ".partial-abc-3", "notes", "-1"):
        (tmp_path / name).mkdir()
    assert list(list_versions(tmp_path).items()) == [
        (-1, tmp_path / "-1"),
        (2, tmp_path / "2"),
        (10, tmp_path / "10"),
    ]
    assert latest_version(tmp_path) == 10
    assert next_version(tmp_path) == 11


def test_of_two_names_for_one_number_the_last_is_taken(tmp_path: Path) -> None:
    (tmp_path / "01").mkdir()
    (tmp_path / "1").mkdir()
    assert list_versions(tmp_path) == {1: tmp_path / "1"}


def test_the_first_version_is_one(tmp_path: Path) -> None:
    assert latest_version(tmp_path) is None
    assert next_version(tmp_path) == 1
    assert next_version(tmp_path / "not" / "there") == 1
    (tmp_path / "-5").mkdir()
    assert next_version(tmp_path) == 1


def test_a_missing_base_path_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be a folder of version folders.*nope.*No such file.*Name the folder"):
        list_versions(tmp_path / "nope")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="Not a directory"):
        next_version(file)


def test_a_description_that_is_no_json_has_no_source(tmp_path: Path) -> None:
    file = tmp_path / "assets.extra" / "tfchain.json"
    file.parent.mkdir()
    for text in ("", "{", "[]", "\ufeff{}", "[" * 100_000, '{"source": ' * 5000):
        file.write_text(text)
        assert read_source(tmp_path) is None
    file.write_text('{"source": "a"}')
    assert read_source(tmp_path) == "a"


def test_a_description_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert read_description(tmp_path) == {}
    (tmp_path / DESCRIPTION).parent.mkdir()
    for text in ("[" * 100_000, "{", "[1]", ""):
        (tmp_path / DESCRIPTION).write_text(text)
        assert read_description(tmp_path) == {}
        assert read_source(tmp_path) is None
    (tmp_path / DESCRIPTION).write_text('{"source": "a", "top_k": 3}')
    assert read_description(tmp_path) == {"source": "a", "top_k": 3}
    assert read_source(tmp_path) == "a"
