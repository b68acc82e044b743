"""Folders as bytes."""

from pathlib import Path

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
