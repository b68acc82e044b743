"""Checks of arguments."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.checks import (
    check_known_settings,
    check_part,
    check_patterns,
    check_whole_number,
    check_writable,
    to_path,
)
from tfchain.core.errors import InputError


@pytest.mark.parametrize(("value", "least"), [(1, 1), (0, 0), (np.int64(5), 5)])
def test_a_whole_number_from_the_least_on_is_given_as_an_int(value: object, least: int) -> None:
    assert type(check_whole_number("top_k", value, least=least)) is int
    assert check_whole_number("top_k", value, least=least) == value


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None])
def test_nothing_else_is_a_whole_number(value: object) -> None:
    with pytest.raises(
        InputError, match="`top_k` must be a whole number of at least 1. Received: top_k=.* Ask for one"
    ):
        check_whole_number("top_k", value, advice="Ask for one.")


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_a_part_lies_from_zero_to_one(value: float) -> None:
    check_part("begin", value)


@pytest.mark.parametrize("value", [-0.01, 1.01, True, "0.5", float("nan")])
def test_nothing_else_is_a_part(value: object) -> None:
    with pytest.raises(InputError, match=r"`begin` must be in \[0, 1\]"):
        check_part("begin", value)


def test_one_pattern_may_come_alone() -> None:
    assert check_patterns("freeze", "layer_0") == check_patterns("freeze", ["layer_0"]) == ("layer_0",)
    for wrong in ([""], [1], 5):
        with pytest.raises(InputError, match="`freeze` must be a list of patterns"):
            check_patterns("freeze", wrong)


@pytest.mark.parametrize(
    "check",
    [
        lambda: check_whole_number("value", 0),
        lambda: check_part("value", 2),
        lambda: check_patterns("value", 5),
        lambda: check_writable("value", Path("/dev/null/below")),
    ],
)
def test_an_error_holds_the_name_of_its_argument(check: Callable[[], object]) -> None:
    """A training's file is told by it which line is at fault."""
    with pytest.raises(InputError) as caught:
        check()
    assert caught.value.argument == "value"


def test_settings_that_are_not_known_are_those_of_a_newer_version() -> None:
    check_known_settings({"b": 1}, ("a", "b"))  # what is left out has its default
    check_known_settings({}, ())
    message = "does not know these settings, .*: 'c', 'd'. Install that version. Known here: a, b."
    with pytest.raises(InputError, match=message):
        check_known_settings({"d": 1, "a": 2, "c": 3}, ("b", "a"))
    with pytest.raises(TypeError, match=r"settings must be a dict. Received: \['a'\]"):
        check_known_settings(["a"], ("a",))


def test_a_folder_to_write_to_is_made_and_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable("path", tmp_path / "deep" / "new")
    assert list((tmp_path / "deep" / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="`path` must be a folder to write to. Received: .*file: File exists. Name"):
        check_writable("path", tmp_path / "file")

    def refuse(*, dir: Path) -> None:
        assert dir == tmp_path
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tfchain.core.checks.tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError, match=f"Received: {re.escape(str(tmp_path))}: Permission denied"):
        check_writable("path", tmp_path)


def test_a_path_may_begin_with_the_home_folder_and_hold_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert to_path("path", "~/my index") == Path("/home/someone/my index")
    assert to_path("path", Path("~/x")) == Path("/home/someone/x")
    assert to_path("path", "a~b") == Path("a~b")


@pytest.mark.parametrize("value", ["", " ", None, 3, b"bytes", "a\0b", ["a"]])
def test_what_is_no_path_is_named(value: object) -> None:
    with pytest.raises(InputError, match="`path` must be the path of a file or folder, a string or a Path. Received: "):
        to_path("path", value)


def test_a_home_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="`path` names a home folder that does not exist. Received: ~nobody-here/x"):
        to_path("path", "~nobody-here/x")
