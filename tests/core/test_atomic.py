"""Files and folders appear whole or not at all."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfchain.core import atomic
from tfchain.core.atomic import check_can_write, new_folder, remove_partials, write_file, write_json
from tfchain.core.errors import TfchainError


def test_a_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    with new_folder(tmp_path / "deep" / "new") as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "file").write_text("whole")
        assert not (tmp_path / "deep" / "new").exists()
    assert (tmp_path / "deep" / "new" / "inner" / "file").read_text() == "whole"
    assert os.listdir(tmp_path / "deep") == ["new"]
    assert (tmp_path / "deep" / "new").stat().st_mode & 0o777 == 0o755, "others cannot read it"


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "new") as partial:
        (partial / "file").write_text(f"half {1 / 0}")
    assert os.listdir(tmp_path) == []


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with new_folder(tmp_path / "new") as partial:
        (partial / "file").touch()
    assert os.listdir(tmp_path / "new") == ["file"]


@pytest.mark.parametrize("there", ["full folder", "file"])
def test_what_is_there_is_not_replaced_by_a_folder(tmp_path: Path, there: str) -> None:
    old = tmp_path / "new"
    if there == "file":
        old.write_text("old")
    else:
        old.mkdir()
        (old / "old").touch()
    with pytest.raises(FileExistsError, match="new"), new_folder(old) as partial:
        (partial / "file").touch()
    assert os.listdir(tmp_path) == ["new"]
    assert old.read_text() == "old" if there == "file" else os.listdir(old) == ["old"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.EACCES])
def test_a_full_or_closed_disk_is_one_clear_error(tmp_path: Path, number: int) -> None:
    with pytest.raises(TfchainError, match=r"Could not write .*new: .*What was there before is unchanged"):  # noqa: SIM117
        with new_folder(tmp_path / "new"):
            raise OSError(number, os.strerror(number))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "no input"), ConnectionRefusedError(111, "refused")])
def test_errors_of_the_block_that_are_not_about_writing_pass_as_they_are(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(type(error)) as caught, new_folder(tmp_path / "new"):
        raise error
    assert caught.value is error


def test_a_file_is_replaced_whole_and_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    assert write_file(path, "old") == path
    write_file(path, b"\xffnew")
    assert path.read_bytes() == b"\xffnew"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(path.parent) == ["file"]


def test_a_folder_in_a_files_place_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(TfchainError, match=r"Could not write .*file: Is a directory"):
        write_file(tmp_path / "file", "new")
    assert os.listdir(tmp_path) == ["file"]


def test_json_is_written_with_its_characters(tmp_path: Path) -> None:
    write_json(tmp_path / "value.json", {"name": "你好"})
    assert "你好" in (tmp_path / "value.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "value.json").read_bytes()) == {"name": "你好"}


def test_a_file_is_synced_whole_before_it_is_renamed_and_its_folder_after(tmp_path: Path, disk_calls: list) -> None:
    path = write_file(tmp_path / "file", b"x" * 100_000)
    synced, renamed, folder = disk_calls
    assert synced[0] == "sync"
    assert synced[2] == b"x" * 100_000, "what was synced is not what was written"
    assert Path(synced[1]).name.startswith(".partial-")
    assert renamed == ("rename", str(path), None)
    assert folder == ("sync", str(tmp_path), None)


def test_a_folders_files_and_folders_are_synced_before_it_is_renamed_and_its_parent_after(
    tmp_path: Path, disk_calls: list
) -> None:
    with new_folder(tmp_path / "new") as partial:
        (partial / "inner").mkdir()
        for name in ("one", "inner/two", "inner/three"):
            (partial / name).write_text(name)
        assert disk_calls == []
    names = [(what, os.path.relpath(path, partial if what == "sync" else tmp_path)) for what, path, _ in disk_calls]
    before, after = disk_calls[: names.index(("rename", "new"))], names[names.index(("rename", "new")) + 1 :]
    contents = {os.path.relpath(path, partial): content for _, path, content in before}
    assert contents == {
        "one": b"one", "inner/two": b"inner/two", "inner/three": b"inner/three", "inner": None, ".": None,
    }  # fmt: skip
    assert after == [("sync", "..")]


def test_young_leftovers_of_other_writers_stay(tmp_path: Path) -> None:
    young, old = tmp_path / ".partial-young", tmp_path / ".partial-old"
    for one in (young, old):
        one.mkdir()
        (one / "file").touch()
    (tmp_path / "other").mkdir()
    os.utime(old, (time.time() - 100,) * 2)
    remove_partials(tmp_path, older_than_seconds=60)
    assert sorted(os.listdir(tmp_path)) == [".partial-young", "other"]
    (tmp_path / ".partial-file").touch()  # of a killed `write_file`
    remove_partials(tmp_path)
    assert os.listdir(tmp_path) == ["other"]


def test_a_place_is_checked_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    check_can_write(tmp_path / "new" / "deep")
    check_can_write(tmp_path)
    monkeypatch.chdir(tmp_path)
    check_can_write("new")
    assert os.listdir(tmp_path) == ["file"]
    (tmp_path / "link").symlink_to("nowhere")
    for place in ("file", "file/below", "link"):
        with pytest.raises(TfchainError, match=f"Could not write {place}: Not a directory"):
            check_can_write(place)
    for missing in (os.W_OK, os.X_OK):  # a folder that may not be entered takes no files either
        monkeypatch.setattr(atomic.os, "access", lambda path, mode, missing=missing: not mode & missing)
        with pytest.raises(TfchainError, match=r"Could not write .*new: Permission denied"):
            check_can_write(tmp_path / "new")


WRITER = """
import sys
from tfchain.core.atomic import new_folder, write_file
for number in range(10**9):
    write_file(sys.argv[1] + "/file", str(number) * 20_000)
    with new_folder(f"{sys.argv[1]}/{number}") as partial:
        for name in "abc":
            (partial / name).write_text(str(number) * 20_000)
    print(number, flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.008, 0.02])
def test_a_killed_writer_leaves_whole_things_and_partials_that_can_be_cleared(tmp_path: Path, delay: float) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=10)
    remove_partials(tmp_path)
    for path in tmp_path.iterdir():
        if path.name == "file":
            text = path.read_text()
            assert text == text[: len(text) // 20_000] * 20_000
        else:
            assert {inner.name: inner.read_text() for inner in path.iterdir()} == dict.fromkeys(
                "abc", path.name * 20_000
            )
    assert (tmp_path / "0").is_dir()
