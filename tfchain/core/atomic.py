"""Files and folders that appear whole or not at all: written beside their target, synced, then renamed."""

import contextlib
import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfchain.core.errors import TfchainError

PARTIAL_PREFIX = ".partial-"

# The error numbers that mean a path cannot be written. Other errors that a block raises (a missing input file, a
# refused connection) have nothing to do with the path, and pass through unchanged.
CANNOT_WRITE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
}


@contextlib.contextmanager
def new_folder(path: Path | str) -> Iterator[Path]:
    """Yields an empty folder beside `path`, and renames it to `path` when the block succeeds.

    A block that raises leaves nothing behind. A killed process leaves a folder named `.partial-…`, which readers
    ignore and `remove_partials` deletes.

    Args:
        path: The folder to make. It must not exist, or must be an empty folder.

    Raises:
        FileExistsError: if `path` is a file or a folder that is not empty.
        TfchainError: if the disk is full or `path` cannot be written.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, suffix=f"-{path.name}", dir=path.parent))
    try:
        with writing(path):
            partial.chmod(0o755)
            yield partial
            sync_tree(partial)
            rename_folder(partial, path)
            sync_folder(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_file(path: Path | str, data: bytes | str, *, mode: int = 0o644) -> Path:
    """Writes a file in one step: readers see the old content or the new content, never part of it.

    Args:
        path: The file; replaced if it exists.
        data: The content; a string is written as UTF-8.
        mode: Who may read and write it, as in `chmod`. Default: everybody reads, the owner writes.

    Returns:
        The path.

    Raises:
        TfchainError: if the disk is full or the file cannot be written; the old content then stays.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, suffix=f"-{path.name}", dir=path.parent)
        partial = Path(name)
        try:
            with open(handle, "wb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            partial.chmod(mode)
            partial.replace(path)
            sync_folder(path.parent)
        finally:
            partial.unlink(missing_ok=True)
    return path


def write_json(path: Path | str, value: Any) -> Path:
    """Writes a value as indented JSON in one step, as `write_file` does."""
    return write_file(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def remove_partials(folder: Path | str, *, older_than_seconds: float = 0) -> None:
    """Deletes the partial files and folders that killed writers left in a folder.

    Args:
        folder: The folder; it need not exist.
        older_than_seconds: Keeps those that are younger. Use the default only while no other process can write to the
            folder. Default: 0.
    """
    for left in Path(folder).glob(f"{PARTIAL_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # another process may delete it first
            if time.time() - left.stat().st_mtime < older_than_seconds:
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def check_can_write(folder: Path | str) -> None:
    """Checks, before any work is done, that a folder can be made or written to. Writes nothing.

    Args:
        folder: The folder; it need not exist.

    Raises:
        TfchainError: if it is a file, lies below a file, or is not writable.
    """
    folder = Path(folder)
    with writing(folder):
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
        number = None if there.is_dir() else errno.ENOTDIR
        if number is None and not os.access(there, os.W_OK | os.X_OK):
            number = errno.EACCES
        if number is not None:
            raise OSError(number, os.strerror(number), str(there))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns operating system errors about a full disk or an unwritable path into one clear error."""
    try:
        yield
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise
        raise TfchainError(
            f"Could not write {path}: {os.strerror(error.errno)}. What was there before is unchanged. "
            "Free space or choose another place, and try again."
        ) from error


def rename_folder(partial: Path, path: Path) -> None:
    """Renames a folder to a new path or over an empty folder; anything else there raises a FileExistsError."""
    try:
        partial.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        raise


def sync_tree(folder: Path) -> None:
    """Flushes a folder, and every file and folder below it, to disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            handle = os.open(os.path.join(parent, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(parent))


def sync_folder(folder: Path) -> None:
    """Flushes a folder's list of names to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
