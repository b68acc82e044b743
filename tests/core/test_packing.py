"""Folders as bytes."""

import tarfile
from pathlib import Path

import pytest

from tfchain.core.packing import pack, unpacked


def test_a_folder_comes_back_whole_and_goes_with_the_block() -> None:
    seen: list[Path] = []

    def save(folder: Path) -> None:
        seen.append(folder)
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_bytes(b"\xff\0")

    packed = pack(save)
    assert not seen[0].exists()
    with unpacked(packed) as folder:
        assert (folder / "deep" / "file").read_bytes() == b"\xff\0"
        assert [one.name for one in folder.iterdir()] == ["deep"]
    assert not folder.exists()


def test_a_python_whose_tarfile_has_no_filters_unpacks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    extract = tarfile.TarFile.extractall
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.setattr(tarfile.TarFile, "extractall", lambda archive, path: extract(archive, path))
    with unpacked(pack(lambda folder: (folder / "file").write_bytes(b"a"))) as folder:
        assert (folder / "file").read_bytes() == b"a"
