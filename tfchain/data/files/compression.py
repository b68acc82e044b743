"""Compressed files as streams of bytes, which end in an error when they are damaged or unpack without measure."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from tfchain.core.errors import InputError, MissingPackageError, first_line
from tfchain.data.files.limits import ReadLimits

BUFFER_BYTES = 2**17


class DamagedFileError(InputError):
    """A compressed file ends early or is damaged.

    Args:
        label: The file.
        reason: What its library says.
        kind: The kind of file, such as `gzip`.
    """

    def __init__(self, label: str, reason: str, kind: str) -> None:
        super().__init__(f"Could not unpack {label}: {reason}. Expected a whole {kind} file. Fetch it again.")
        self.label, self.reason, self.kind = label, reason, kind

    def after_line(self, number: int) -> InputError:
        """Returns the error with the number of lines that could be read."""
        return InputError(
            f"Could not unpack {self.label} after line {number}: {self.reason}. Expected a whole {self.kind} file. "
            "Fetch it again."
        )


def open_zstd(file: BinaryIO) -> Any:
    """Opens a Zstandard stream of one or more frames."""
    try:
        import zstandard
    except ImportError as error:
        raise MissingPackageError(
            "Reading .zst files needs the package zstandard. Install it with `pip install 'tfchain[data]'`."
        ) from error
    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)


COMPRESSIONS: dict[str, tuple[str, Callable[[BinaryIO], Any]]] = {
    ".gz": ("gzip", lambda file: gzip.GzipFile(fileobj=file, mode="rb")),
    ".zst": ("Zstandard", open_zstd),
    ".bz2": ("bzip2", bz2.BZ2File),
    ".xz": ("xz", lzma.LZMAFile),
}


def split_compression(name: str) -> tuple[str, str]:
    """Splits a file's name, in lower case, into the name without its compression's ending, and that ending or `""`."""
    name = name.lower()
    for ending in COMPRESSIONS:
        if name.endswith(ending):
            return name.removesuffix(ending), ending
    return name, ""


def unpack(file: BinaryIO, ending: str, label: str, limits: ReadLimits) -> BinaryIO:
    """Returns a stream of what a compressed file holds, which closes the file when it is closed.

    Args:
        file: The compressed bytes.
        ending: Its compression: `.gz`, `.zst`, `.bz2` or `.xz`.
        label: The file, for errors.
        limits: How much it may unpack to.

    Raises:
        MissingPackageError: if the package for this compression is not installed.
    """
    return cast(BinaryIO, io.BufferedReader(Unpacked(file, ending, label, limits), BUFFER_BYTES))


class Unpacked(io.RawIOBase):
    """The bytes of a compressed file; reading raises a DamagedFileError, or an InputError if it is a bomb."""

    def __init__(self, file: BinaryIO, ending: str, label: str, limits: ReadLimits) -> None:
        self._packed = CountedBytes(file)
        self._kind, opener = COMPRESSIONS[ending]
        self._stream = opener(cast(BinaryIO, self._packed))
        self._label, self._limits = label, limits
        self._unpacked = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read1(len(buffer))  # of a damaged file, all that can be read
        except InputError:
            raise
        except (EOFError, zlib.error, lzma.LZMAError, OSError, ValueError) as error:
            raise DamagedFileError(self._label, first_line(error), self._kind) from error
        except Exception as error:
            if type(error).__name__ != "ZstdError":
                raise
            raise DamagedFileError(self._label, first_line(error), self._kind) from error
        buffer[: len(data)] = data
        self._unpacked += len(data)
        if not self._limits.allows_unpacked(self._unpacked, self._packed.count):
            raise InputError(
                f"{self._label} unpacks to more than {self._limits.compression_ratio:g} times its size: "
                f"{self._unpacked:,} bytes from {self._packed.count:,}. Expected a file that is not a bomb. If you "
                "trust it, raise `compression_ratio` of the limits."
            )
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._packed.file.close()
        super().close()


class CountedBytes(io.RawIOBase):
    """A file that counts the bytes read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)
