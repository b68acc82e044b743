"""Sets in an object store: written by Beam's file systems, with the manifest last."""

import io
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

from tests.data.beam.corpora import make_documents, read_folder
from tfchain.core.errors import InputError, TfchainError
from tfchain.data.beam.files import list_names, read_bytes, write_bytes
from tfchain.data.beam.prepare import prepare_with_beam
from tfchain.data.preparation.prepare import prepare

pytestmark = pytest.mark.beam

OBJECTS: dict[str, bytes] = {}
WRITTEN: list[str] = []


class Written(io.BytesIO):
    """An object that is there once it is closed."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def close(self) -> None:
        if not self.closed:
            OBJECTS[self.path] = self.getvalue()
            WRITTEN.append(self.path)
        super().close()


class Store(FileSystem):
    """An object store in memory, `store://`; with folders, `disk://`, where objects are renamed."""

    @classmethod
    def scheme(cls) -> str:
        return "store"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join((basepath, *paths))

    def split(self, path: str) -> tuple[str, str]:
        return path.rsplit("/", 1)[0], path.rsplit("/", 1)[1]

    def mkdirs(self, path: str) -> None: ...

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Any:
        for path, data in OBJECTS.items():
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(data))

    def create(self, path: str, mime_type: str = "", compression_type: str = "") -> Any:
        return Written(path)

    def open(self, path: str, mime_type: str = "", compression_type: str = "") -> Any:
        if path not in OBJECTS:
            raise BeamIOError("not found")
        return io.BytesIO(OBJECTS[path])

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        raise NotImplementedError

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            if target in OBJECTS:
                raise BeamIOError("exists")
            OBJECTS[target] = OBJECTS.pop(source)

    def exists(self, path: str) -> bool:
        return path in OBJECTS

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            if OBJECTS.pop(path, None) is None:
                raise BeamIOError("not found")

    def size(self, path: str) -> int:
        return len(OBJECTS[path])

    def last_updated(self, path: str) -> float:
        return 0.0

    def checksum(self, path: str) -> str:
        return ""

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, len(OBJECTS[path]))


class Disk(Store):
    """As `Store`, with folders."""

    @classmethod
    def scheme(cls) -> str:
        return "disk"

    def has_dirs(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def empty() -> None:
    OBJECTS.clear()
    WRITTEN.clear()


def test_a_set_in_a_store_is_that_on_disk_and_its_manifest_comes_last(tmp_path: Path) -> None:
    documents = make_documents(50)
    OBJECTS["store://bucket/set/part-00099.jsonl"] = b"left by a killed run"
    made = prepare_with_beam(documents, "store://bucket/set", ["remove_near_duplicates"], shard_records=20)
    prepare(documents, ["remove_near_duplicates"], output=tmp_path / "set", shard_records=20, num_workers=1)

    found = {path.removeprefix("store://bucket/set/"): data for path, data in OBJECTS.items()}
    assert found == read_folder(tmp_path / "set")
    assert WRITTEN[-1] == "store://bucket/set/manifest.json"
    assert str(made.path) == "store:/bucket/set"

    with pytest.raises(InputError, match="store://bucket/set, which exists"):
        prepare_with_beam(documents, "store://bucket/set")


def test_where_there_are_folders_a_file_is_renamed_into_place() -> None:
    write_bytes("disk://a/file", b"one")
    write_bytes("disk://a/file", b"two")

    assert OBJECTS == {"disk://a/file": b"two"}
    assert read_bytes("disk://a/file") == b"two"
    assert list_names("disk://a") == ["file"]
    assert read_bytes("disk://a/other") is None
    assert list_names("disk://b") == []


def test_files_on_disk(tmp_path: Path) -> None:
    path = str(tmp_path / "folder" / "file")
    assert read_bytes(path) is None
    write_bytes(path, b"one")
    assert read_bytes(path) == b"one"
    assert list_names(str(tmp_path)) == ["folder/file"]


def test_an_unknown_store_is_named() -> None:
    with pytest.raises(TfchainError, match="Could not write nowhere://a/b"):
        write_bytes("nowhere://a/b", b"")
