"""A file of weights that is opened once and stays open, read piece by piece."""

import os
import weakref
from pathlib import Path

from tfchain.core.errors import ModelFolderError

GIT_LFS = b"version https://git-lfs.github.com/spec/"


class OpenFile:
    """A file that is opened at once and stays open, so that it can still be read after it has been replaced.

    It is not mapped into memory: truncating a mapped file ends the process.

    Args:
        path: The file.

    Raises:
        ModelFolderError: if the file cannot be opened, or is a Git LFS pointer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self.make_error(os.strerror(error.errno or 0)) from error
        weakref.finalize(self, os.close, self._handle)
        self.state = self._read_state()
        if os.pread(self._handle, len(GIT_LFS), 0) == GIT_LFS:
            raise ModelFolderError(
                f"{path} is a Git LFS pointer of {self.size} bytes, not the weights. Run `git lfs pull` in its folder, "
                "or download the file itself."
            )

    @property
    def size(self) -> int:
        """The file's size in bytes when it was opened."""
        return self.state[0]

    def read_bytes(self, offset: int, length: int) -> bytes:
        """Reads bytes at a place in the file."""
        content = bytearray(length)
        self.read_into(memoryview(content), offset)
        return bytes(content)

    def read_into(self, place: memoryview, offset: int) -> None:
        """Fills memory with the file's bytes from a place on.

        Raises:
            ModelFolderError: if the file ends before that.
        """
        done = 0
        while done < len(place):
            count = os.preadv(self._handle, [place[done:]], offset + done)
            if not count:
                raise self.make_error("it ends before its last tensor")
            done += count

    def check_unchanged(self) -> None:
        """Raises a `ModelFolderError` if the file has been written to since it was opened."""
        if self._read_state() != self.state:
            raise self.make_error("it has been written to since it was opened")

    def make_error(self, reason: str) -> ModelFolderError:
        """Makes the error for a file that cannot be read."""
        return ModelFolderError(f"{self.path} cannot be read: {reason}. Get the file again.")

    def _read_state(self) -> tuple[int, int]:
        found = os.fstat(self._handle)
        return found.st_size, found.st_mtime_ns
