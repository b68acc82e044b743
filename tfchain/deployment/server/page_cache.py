"""The operating system's page cache: drops a version's files from it once they are loaded."""

import contextlib
import os
from pathlib import Path


def drop_from_page_cache(folder: Path | str) -> int:
    """Drops the files of a folder from the page cache, as the loaded model holds their content already.

    Pages that a process has mapped stay, and so do those that are not written to the disk yet. A system without
    `posix_fadvise` keeps all.

    Args:
        folder: The folder, with all that is below it.

    Returns:
        The number of files.
    """
    if not hasattr(os, "posix_fadvise"):
        return 0
    count = 0
    for path in Path(folder).rglob("*"):
        with contextlib.suppress(OSError):  # a file that is gone or unreadable needs no memory
            if path.is_file():
                _drop(path)
                count += 1
    return count


def _drop(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
