"""Keeps a second `tfchain index` away from a folder for as long as the first one runs."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from tfchain.core.atomic import writing
from tfchain.core.errors import IndexFolderError
from tfchain.tasks.manifest import check_is_ours

LOCK = ".indexing"


@contextlib.contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Holds the folder while the block runs; the lock goes with the process, however it ends.

    Each save locks the folder too, but only while it lasts: two processes that take turns in saving would each write
    down its own documents and forget the other's.

    Args:
        path: The folder; made if it is not there, and taken away again if nothing was saved in it.

    Raises:
        IndexFolderError: if another process indexes there, or the folder holds something else.
    """
    check_is_ours(path)
    is_new = not path.exists()
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        file = open(path / LOCK, "w")  # noqa: SIM115 - the block below closes it
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IndexFolderError(
                f"Another process is indexing into {path}. Nothing was written. Wait for it, or give another --out."
            ) from None
        try:
            yield
        finally:
            if is_new and not (path / "chain.json").exists():
                (path / LOCK).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # something lies there after all
                    path.rmdir()
