"""Keeps a second `tfchain index` out of a folder while the first one runs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tfchain.core.atomic import writing
from tfchain.core.errors import IndexFolderError
from tfchain.core.file_lock import file_lock
from tfchain.tasks.manifest import check_is_ours

LOCK = ".indexing"


@contextlib.contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Locks the folder while the block runs; the lock ends with the process, however it ends.

    Each save also locks the folder, but only briefly: two processes that save in turn would each write their own
    documents and forget the other's.

    Args:
        path: The folder; created if missing, and removed again if nothing was saved in it.

    Raises:
        IndexFolderError: if another process indexes there, or the folder holds something else.
    """
    check_is_ours(path)
    is_new = not path.exists()
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    taken = IndexFolderError(
        f"Another process is indexing into {path}. Nothing was written. Wait for it, or give another --out."
    )
    with file_lock(path / LOCK, taken=taken):
        try:
            yield
        finally:
            if is_new and not (path / "chain.json").exists():
                (path / LOCK).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # the folder is not empty after all
                    path.rmdir()
