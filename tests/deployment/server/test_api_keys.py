"""The file of API keys, and its changes while the server runs."""

import os
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.server.api_keys import ApiKeys
from tfchain.deployment.server.status import StatusError


def is_valid(keys: ApiKeys, key: str) -> bool:
    try:
        keys.check(f"Bearer {key}")
    except StatusError:
        return False
    return True


def replace(path: Path, text: str) -> None:
    """Replaces a file as editors and secret stores do."""
    (path.parent / "new").write_text(text)
    (path.parent / "new").rename(path)


def test_a_change_takes_effect_with_the_next_request(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# two keys\n  one  \n\ntwo\n")
    keys = ApiKeys(path)
    assert [is_valid(keys, key) for key in ("one", "two", "three", "# two keys")] == [True, True, False, False]
    replace(path, "two\nthree\n")
    assert [is_valid(keys, key) for key in ("one", "two", "three")] == [False, True, True]
    path.write_text("four")
    assert [is_valid(keys, key) for key in ("two", "four")] == [False, True]
    path.write_text("# none any more\n")
    assert not is_valid(keys, "four")


def test_a_file_that_is_gone_or_broken_changes_nothing_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys"
    path.write_text("one")
    keys = ApiKeys(path)
    path.unlink()
    assert [is_valid(keys, "one") for _ in range(3)] == [True] * 3
    assert len(caplog.records) == 1
    assert f"{path} cannot be read, and its former API keys stay valid" in caplog.text
    path.write_text("a key with spaces")
    assert [is_valid(keys, "one") for _ in range(3)] == [True] * 3
    assert len(caplog.records) == 2
    assert "must be printable ASCII without spaces. Received: key 1" in caplog.text
    path.write_text("two")
    assert (is_valid(keys, "one"), is_valid(keys, "two")) == (False, True)


def test_a_link_to_another_file_is_a_change(tmp_path: Path) -> None:
    for name, key in (("a", "one"), ("b", "two")):
        (tmp_path / name).write_text(key)
        os.utime(tmp_path / name, (1, 1))
    link = tmp_path / "link"
    link.symlink_to("a")
    keys = ApiKeys(link)
    assert is_valid(keys, "one")
    link.unlink()
    link.symlink_to("b")
    assert (is_valid(keys, "one"), is_valid(keys, "two")) == (False, True)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "The file of API keys must be a file that can be read"),
        ("", "The file of API keys must have a key"),
        ("# a comment\n\n", "which has none. One key a line"),
        ("one\nschlüssel", "An API key must be printable ASCII without spaces. Received: key 2"),
        ("one two", "Received: key 1"),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path, text: str | None, error: str) -> None:
    if text is not None:
        (tmp_path / "keys").write_text(text)
    with pytest.raises(InputError, match=error) as caught:
        ApiKeys(tmp_path / "keys")
    assert "schl" not in str(caught.value)
