"""A file to read, wherever it is: on disk, in an archive, or behind a URL."""

import io
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from tfchain.core.errors import InputError
from tfchain.data.files.compression import BUFFER_BYTES, split_compression, unpack
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.paths import printable, to_path

SPOOLED_BYTES = 16 * 2**20  # kept in memory before a temporary file takes over


@dataclass(frozen=True)
class DataFile:
    """A file that readers read as a stream, from the beginning.

    Args:
        label: Its path, as errors show it: `docs/a.txt`, `docs.zip/a.txt`, `gs://bucket/a.txt`. The name at its end
            says what is in the file.
        opener: Opens its bytes, still compressed. A file in an archive can be opened only until the next one is asked
            for.
        path: Where it is on this machine's disk. Default: it is not.
    """

    label: str
    opener: Callable[[], BinaryIO]
    path: Path | None = None

    def __str__(self) -> str:
        return self.label

    @property
    def name(self) -> str:
        """The file's name, without folders."""
        return self.label.rstrip("/").rpartition("/")[2]

    @property
    def ending(self) -> str:
        """The ending of the name in lower case, without that of a compression: `.jsonl` of `a.jsonl.gz`."""
        return os.path.splitext(split_compression(self.name)[0])[1]

    @property
    def compression(self) -> str:
        """The ending that names a compression: `.gz`, `.zst`, `.bz2`, `.xz`, or `""`."""
        return split_compression(self.name)[1]

    def open(self, limits: ReadLimits | None = None) -> BinaryIO:
        """Opens the file's content, unpacked if its name says that it is compressed.

        Raises:
            InputError: if it cannot be opened; while it is read, if it is damaged or unpacks without measure.
        """
        file = self.opener()
        if not self.compression:
            return file
        return unpack(file, self.compression, self.label, limits or ReadLimits())

    def open_seekable(self, limits: ReadLimits) -> BinaryIO:
        """Opens the file's content so that it can be read in any order: a copy on disk if it is a stream.

        Raises:
            InputError: as `open`, or if a copy would be larger than `archive_bytes`.
        """
        file = self.open(limits)
        if file.seekable():
            return file
        copy = tempfile.SpooledTemporaryFile(max_size=SPOOLED_BYTES)  # noqa: SIM115 - the caller closes it
        with file:
            shutil.copyfileobj(Bounded(file, limits.archive_bytes, self.label), copy, 2**20)
        copy.seek(0)
        return cast(BinaryIO, copy)

    def read(self, limits: ReadLimits) -> bytes:
        """Reads the whole content.

        Raises:
            InputError: as `open`, or if the content is larger than `file_bytes`.
        """
        parts: list[bytes] = []
        size = 0
        with self.open(limits) as file:
            while part := file.read(2**16 if not parts else 2**20):  # `read` allocates what it is asked for
                parts.append(part)
                size += len(part)
                if size > limits.file_bytes:
                    raise InputError(
                        f"{self.label} is larger than {limits.file_bytes:,} bytes. Expected a file that fits into "
                        "memory. Cut it up, or raise `file_bytes` of the limits."
                    )
        return b"".join(parts)


class Bounded:
    """Passes on what it reads, up to a number of bytes."""

    def __init__(self, file: BinaryIO, most: int, label: str) -> None:
        self._file, self._left, self._most, self._label = file, most, most, label

    def read(self, size: int = -1) -> bytes:
        """Reads; raises an InputError beyond the bound."""
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise InputError(
                f"{self._label} unpacks to more than {self._most:,} bytes. Expected less. If you trust it, raise "
                "`archive_bytes` of the limits."
            )
        return data


def to_file(path: Path | str | DataFile) -> DataFile:
    """Returns a path of this machine as a file to read."""
    if isinstance(path, DataFile):
        return path
    path = to_path(path)
    return DataFile(printable(path), lambda: open_path(path), path)


def memory_file(label: str, data: bytes) -> DataFile:
    """Returns bytes as a file to read."""
    return DataFile(label, lambda: io.BytesIO(data))


def open_path(path: Path) -> BinaryIO:
    """Opens a file's bytes; raises an InputError that says what to do if that fails.

    Refuses pipes and devices: opening a pipe without a writer blocks forever, and rows are read more than once.
    """
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise InputError(
                f"Expected an ordinary file. Received a pipe, a socket or a device: {printable(path)}. Write its "
                "content to a file."
            )
        return path.open("rb", BUFFER_BYTES)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(
            f"No such file: {printable(path)}. Check the path (the current folder is {Path.cwd()})."
        ) from None
    except IsADirectoryError:
        raise InputError(f"Expected a file. Received the folder {printable(path)}.") from None
    except OSError as error:
        raise InputError(f"Could not open {printable(path)}: {os.strerror(error.errno or 0)}.") from error
    except ValueError:
        raise InputError(f"Expected the path of a file. Received: {str(path)!r}, with a NUL in it.") from None
