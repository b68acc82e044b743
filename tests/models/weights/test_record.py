"""When a folder's noted fingerprints count."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tfchain.models.weights.record import RECORD, ModelRecord, read_record, write_record

NOTED = ModelRecord(encoder="e" * 64, text_encoder="t" * 64, tokenizer={"pad_token_id": 0})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose files are an hour older than its record."""
    made = tmp_path / "model"
    (made / "1_Pooling").mkdir(parents=True)
    for name in ("weights", "1_Pooling/config.json"):
        (made / name).write_bytes(b"12345678")
        os.utime(made / name, ns=(10**18, 10**18))
    write_record(made, NOTED)
    return made


def test_what_was_noted_is_read(folder: Path) -> None:
    assert read_record(folder) == NOTED


def test_a_copy_with_other_times_counts_by_its_content(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert read_record(tmp_path / "copy") == NOTED


def overwrite(folder: Path) -> None:
    (folder / "weights").write_bytes(b"12345679")


def put_older(folder: Path) -> None:
    overwrite(folder)
    os.utime(folder / "weights", ns=(10**17, 10**17))


def put_within_a_tick(folder: Path) -> None:
    overwrite(folder)
    now = (folder / RECORD).stat().st_mtime_ns
    os.utime(folder / "weights", ns=(now, now))
    text = (folder / RECORD).read_text()
    (folder / RECORD).write_text(text.replace(str(10**18), str(now), 1))
    assert str(now) in (folder / RECORD).read_text()


def note_a_newer_format(folder: Path) -> None:
    (folder / RECORD).write_text((folder / RECORD).read_text().replace('"format": 1', '"format": 2'))


@pytest.mark.parametrize(
    "change",
    [
        overwrite,
        put_older,
        put_within_a_tick,
        lambda folder: (folder / "1_Pooling" / "config.json").write_bytes(b"1234"),
        lambda folder: (folder / "weights").unlink(),
        lambda folder: (folder / "1_Dense").write_bytes(b"new"),
        lambda folder: (folder / RECORD).write_text("{}"),
        lambda folder: (folder / RECORD).write_text("[]"),
        note_a_newer_format,
        lambda folder: (folder / RECORD).unlink(),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_the_one_noted_has_no_record(folder: Path, change: Callable[[Path], object]) -> None:
    change(folder)
    assert read_record(folder) is None
