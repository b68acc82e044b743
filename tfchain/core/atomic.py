"""Files and folders that appear whole or not at all: written beside their place, synced, then renamed."""

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

# What the operating system says when a place cannot be written. Other errors that a block raises (a missing input
# file, a refused connection) are not about the place, and pass as they are.
CANNOT_WRITE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
}


@contextlib.contextmanager
def new_folder(path: Path | str) -> Iterator[Path]:
    """Yields an empty folder beside `path` that becomes `path` when the block ends well.

    A block that raises leaves nothing behind. A process that is killed leaves a folder named `.partial-…`, which
    no reader looks at and `remove_partials` clears away.

    Args:
        path: The folder to make. Must not exist, or be an empty folder.

    Raises:
        FileExistsError: if something is there already.
        TfchainError: if the disk is full or the place cannot be written.
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


def write_file(path: Path | str, data: bytes | str) -> Path:
    """Writes a file in one step: readers see the old content or the new one, never a part.

    Args:
        path: The file, replaced if it is there.
        data: Its content; a string is written as UTF-8.

    Returns:
        The path.

    Raises:
        TfchainError: if the disk is full or the place cannot be written; the old content is still there then.
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
            partial.chmod(0o644)
            partial.replace(path)
            sync_folder(path.parent)
        finally:
            partial.unlink(missing_ok=True)
    return path


def write_json(path: Path | str, value: Any) -> Path:
    """Writes a value as indented JSON in one step, as `write_file` does."""
    return write_file(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def remove_partials(folder: Path | str, *, older_than_seconds: float = 0) -> None:
    """Clears away what killed writers left in a folder.

    Args:
        folder: The folder; it need not be there.
        older_than_seconds: Younger ones stay. Leave the default only while no other process can write there.
    """
    for left in Path(folder).glob(f"{PARTIAL_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # another process clears away, too
            if time.time() - left.stat().st_mtime < older_than_seconds:
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def check_can_write(folder: Path | str) -> None:
    """Finds out, before work is done, whether a folder can be made or written in; nothing is written.

    Args:
        folder: The folder; it need not be there.

    Raises:
        TfchainError: if it is a file, lies below one, or may not be written in.
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
    """Turns the operating system's word about a full disk or a closed folder into one clear error."""
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
    """Renames a folder over nothing or over an empty folder; the system's three words for anything else become one."""
    try:
        partial.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        raise


def sync_tree(folder: Path) -> None:
    """Asks the disk to keep every file and folder below."""
    for parent, _, names in os.walk(folder):
        for name in names:
            handle = os.open(os.path.join(parent, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(parent))


def sync_folder(folder: Path) -> None:
    """Asks the disk to keep a folder's list of names."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
