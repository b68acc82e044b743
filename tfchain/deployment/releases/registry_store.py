"""Where a registry lies: a folder, or a URL that fsspec knows (`gs://`, `s3://`, `memory://`)."""

import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from tfchain.core.atomic import write_file
from tfchain.core.errors import InputError, MissingPackageError, TfchainError, first_line
from tfchain.core.file_lock import file_lock

_LOCK_SECONDS = 10.0


class Store(Protocol):
    """Files by paths with `/`. A write replaces a file as a whole."""

    def read(self, path: str) -> bytes | None:
        """Returns a file's content; None if it is not there."""

    def write(self, path: str, data: bytes) -> None:
        """Writes a small file in one step."""

    def upload(self, source: Path, path: str) -> None:
        """Copies a file of this machine into the store."""

    def download(self, path: str, target: Path) -> None:
        """Copies a file of the store to this machine."""

    def list_folders(self, path: str) -> list[str]:
        """Returns the names of the folders in a folder, sorted; none if it is not there."""

    def changing(self, path: str) -> AbstractContextManager[None]:
        """Keeps others from changing a file while the block reads it and writes it again, where the store can."""


def open_store(place: Path | str) -> Store:
    """Opens the store at a folder's path or a URL.

    Raises:
        InputError: if the URL's scheme is unknown.
        MissingPackageError: if the package for it is not installed.
    """
    if isinstance(place, str) and "://" in place:
        return _open_url(place)
    return FolderStore(Path(place))


class FolderStore:
    """A store in a folder of this machine, or of a network's file system.

    Args:
        folder: The folder; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def read(self, path: str) -> bytes | None:
        try:
            return (self._folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, path: str, data: bytes) -> None:
        write_file(self._folder / path, data)

    def upload(self, source: Path, path: str) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)

    def download(self, path: str, target: Path) -> None:
        shutil.copyfile(self._folder / path, target)

    def list_folders(self, path: str) -> list[str]:
        folder = self._folder / path
        return sorted(child.name for child in folder.iterdir() if child.is_dir()) if folder.is_dir() else []

    def changing(self, path: str) -> AbstractContextManager[None]:
        file = self._folder / path
        taken = TfchainError(f"Another process is changing {file}. Nothing was changed. Try again.")
        return file_lock(file.with_name(f".{file.name}.lock"), taken=taken, wait_seconds=_LOCK_SECONDS)


class UrlStore:
    """A store behind a URL; an object appears there whole or not at all.

    Args:
        file_system: The fsspec file system.
        root: The path in it.
        url: The URL, for errors.
    """

    def __init__(self, file_system: Any, root: str, url: str) -> None:
        self._files = file_system
        self._root = root.rstrip("/")
        self._url = url

    def __str__(self) -> str:
        return self._url

    def read(self, path: str) -> bytes | None:
        try:
            return bytes(self._files.cat_file(self._place(path)))
        except FileNotFoundError:
            return None
        except Exception as error:  # each file system has errors of its own
            raise self._failed("read", path, error) from error

    def write(self, path: str, data: bytes) -> None:
        try:
            self._files.pipe_file(self._place(path), data)
        except Exception as error:
            raise self._failed("write", path, error) from error

    def upload(self, source: Path, path: str) -> None:
        try:
            self._files.put_file(str(source), self._place(path))
        except Exception as error:
            raise self._failed("write", path, error) from error

    def download(self, path: str, target: Path) -> None:
        try:
            self._files.get_file(self._place(path), str(target))
        except Exception as error:
            raise self._failed("read", path, error) from error

    def list_folders(self, path: str) -> list[str]:
        try:
            found = self._files.ls(self._place(path), detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._failed("list", path, error) from error
        return sorted(entry["name"].rstrip("/").split("/")[-1] for entry in found if entry["type"] == "directory")

    def changing(self, path: str) -> AbstractContextManager[None]:
        return nullcontext()  # object stores have no locks

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _failed(self, what: str, path: str, error: Exception) -> TfchainError:
        return TfchainError(f"Could not {what} {self._url}/{path}: {first_line(error)}. Check the URL and your rights.")


def _open_url(url: str) -> UrlStore:
    from fsspec.core import url_to_fs

    try:
        file_system, root = url_to_fs(url)
    except ImportError as error:
        raise MissingPackageError(
            f"A registry at {url.split('://')[0]}:// needs another package: {first_line(error)}."
        ) from error
    except ValueError as error:
        raise InputError(
            f"A registry must be a folder or a URL that fsspec knows. Received: {url} ({first_line(error)}). "
            "Use a folder, gs:// or s3://."
        ) from error
    return UrlStore(file_system, root, url.rstrip("/"))
