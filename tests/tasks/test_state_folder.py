"""The folder of a chain with a plain state: atomic, of one writer, and of one model."""

import json
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import IndexFolderError
from tfchain.tasks import state_folder
from tfchain.tasks.manifest import locked
from tfchain.tasks.state_folder import Segment, StateFolder, load_state_folder


class Model:
    """A model of one file."""

    def __init__(self, letter: str) -> None:
        self.fingerprint = letter * 64

    def save(self, path: Path) -> None:
        (path / "weights").write_text(self.fingerprint)


FIRST: Any = Model("a")
SECOND: Any = Model("b")


def open_folder(path: Path, commit: str = "") -> StateFolder:
    return StateFolder(path, "rating", lambda state: {"stars": state}, commit)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "chain")
    folder.save(FIRST, 5, {"batch_size": 8})
    loaded = load_state_folder(tmp_path / "chain", "rating")
    assert (loaded.state, loaded.settings) == ({"stars": 5}, {"batch_size": 8})
    assert (loaded.model_path / "weights").read_text() == "a" * 64
    assert loaded.commit == folder.commit != ""
    assert json.loads((tmp_path / "chain" / "chain.json").read_text())["task"] == "rating"


def test_a_save_replaces_the_model_and_clears_what_killed_saves_left(tmp_path: Path) -> None:
    folder = open_folder(tmp_path)
    folder.save(FIRST, 1, {})
    (tmp_path / ".partial-model").mkdir()
    (tmp_path / ".partial-file").touch()
    folder.save(SECOND, 2, {})
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "chain.json", f"model-{'b' * 16}"}
    assert load_state_folder(tmp_path, "rating").state == {"stars": 2}


def test_a_model_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    folder = open_folder(tmp_path)
    folder.save(FIRST, 1, {})
    written = (tmp_path / f"model-{'a' * 16}" / "weights").stat()
    folder.save(FIRST, 2, {})
    again = (tmp_path / f"model-{'a' * 16}" / "weights").stat()
    assert (again.st_ino, again.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_what_another_process_saved_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    mine = open_folder(tmp_path)
    mine.save(FIRST, 1, {})
    open_folder(tmp_path, load_state_folder(tmp_path, "rating").commit).save(FIRST, 2, {})
    for attempt in (mine.check, lambda: mine.save(SECOND, 3, {})):
        with pytest.raises(IndexFolderError, match="saved by another process since .* Nothing was written"):
            attempt()
    assert load_state_folder(tmp_path, "rating").state == {"stars": 2}
    assert not (tmp_path / f"model-{'b' * 16}").exists()
    open_folder(tmp_path).save(FIRST, 4, {})  # asked to replace it
    assert load_state_folder(tmp_path, "rating").state == {"stars": 4}


def test_a_save_keeps_others_out_until_its_manifest_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, tried = state_folder.write_json, []

    def write_slowly(path: Path, value: object) -> Path:
        with pytest.raises(IndexFolderError, match="Another process is writing") as caught, locked(tmp_path):
            pass
        tried.append(caught)
        return write(path, value)

    monkeypatch.setattr(state_folder, "write_json", write_slowly)
    open_folder(tmp_path).save(FIRST, 1, {})
    assert len(tried) == 1


def test_the_model_is_on_disk_before_the_manifest_names_it(tmp_path: Path, disk_calls: list) -> None:
    open_folder(tmp_path).save(FIRST, 1, {})
    renamed = [place for place, (what, _, _) in enumerate(disk_calls) if what == "rename"]
    assert [Path(disk_calls[place][1]).name for place in renamed] == [f"model-{'a' * 16}", "chain.json"]
    assert "weights" in {Path(path).name for what, path, _ in disk_calls[: renamed[0]] if what == "sync"}
    assert disk_calls[renamed[0] + 1][:2] == ("sync", str(tmp_path))
    assert disk_calls[renamed[1] - 1][2] == (tmp_path / "chain.json").read_bytes()


def test_a_chain_of_another_task_is_neither_loaded_nor_replaced(tmp_path: Path) -> None:
    open_folder(tmp_path).save(FIRST, 1, {})
    other = StateFolder(tmp_path, "classification", dict)
    for attempt in (other.check, lambda: other.save(FIRST, {}, {}), lambda: load_state_folder(tmp_path, "search")):
        with pytest.raises(IndexFolderError, match="holds a saved chain of the task 'rating'. Expected: "):
            attempt()


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    open_folder(tmp_path).save(FIRST, 1, {})
    manifest = json.loads((tmp_path / "chain.json").read_text())
    for values, message in (
        ({**manifest, "model": "model-gone"}, "lacks its model, model-gone. Save the chain there again"),
        ({**manifest, "settings": 5}, "is damaged: TypeError: .*Save the chain there again"),
        ({name: value for name, value in manifest.items() if name != "state"}, "is damaged: KeyError: 'state'"),
    ):
        (tmp_path / "chain.json").write_text(json.dumps(values))
        with pytest.raises(IndexFolderError, match=message):
            load_state_folder(tmp_path, "rating")


def test_a_segment_is_written_under_the_lock_and_replaces_the_earlier_one(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        with pytest.raises(IndexFolderError), locked(tmp_path):
            pass  # another save waits, and can delete nothing meanwhile
        (folder / "rows").write_text("5")

    folder = open_folder(tmp_path)
    folder.save(FIRST, 5, {}, segment=Segment("one", write))
    folder.save(FIRST, 5, {}, segment=Segment("one", lambda _: pytest.fail("it is there")))
    assert [found.name for found in tmp_path.glob("segment-*/rows")] == ["rows"]
    folder.save(FIRST, 5, {}, segment=Segment("two", write))
    assert [found.name for found in tmp_path.glob("segment-*")] == ["segment-two"]
    folder.save(FIRST, 5, {})
    assert not list(tmp_path.glob("segment-*"))
