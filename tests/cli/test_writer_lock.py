"""The lock of `tfchain index`, and what is left of a folder in which nothing was saved."""

from pathlib import Path

import pytest

from tfchain.cli.writer_lock import only_writer
from tfchain.core.errors import IndexFolderError


def test_a_new_folder_goes_again_if_nothing_was_saved_in_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), only_writer(tmp_path / "new"):
        (tmp_path / "new" / str(1 / 0)).touch()
    assert not (tmp_path / "new").exists()
    with only_writer(tmp_path / "new"):
        (tmp_path / "new" / "segment-000001").mkdir()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["segment-000001"]


def test_a_folder_that_was_there_or_holds_a_chain_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with only_writer(tmp_path / "there"):
        pass
    assert (tmp_path / "there").is_dir()
    with only_writer(tmp_path / "new"):
        (tmp_path / "new" / "chain.json").touch()
    assert (tmp_path / "new" / "chain.json").is_file()


def test_one_run_at_a_time_holds_a_folder(tmp_path: Path) -> None:
    with (
        only_writer(tmp_path),
        pytest.raises(IndexFolderError, match="Another process is indexing"),
        only_writer(tmp_path),
    ):
        pass
    with only_writer(tmp_path):
        pass
