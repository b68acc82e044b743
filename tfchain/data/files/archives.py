"""Zip and tar archives: their files as streams. Nothing is ever written where a name in an archive says."""

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO, cast

from tfchain.core.errors import InputError, first_line
from tfchain.data.files.compression import BUFFER_BYTES, DamagedFileError, unpack
from tfchain.data.files.data_file import Bounded, DataFile
from tfchain.data.files.kinds import archive_kind, tar_compression
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.read_session import ReadSession

Member = tuple[str, DataFile]
ENCRYPTED = 0x1  # zip's general purpose bit 0


def read_archive(file: DataFile, session: ReadSession, *, depth: int = 1) -> Iterator[Member]:
    """Reads the files of an archive one after the other; those of archives in it, too, in their place.

    Names that lead out of the archive, links, devices and encrypted files are broken records. Hidden files and folders
    are left out, as they are in folders.

    Args:
        file: A `.zip` or `.tar` file; the latter also compressed.
        session: The limits, and what becomes of files that cannot be read.
        depth: How deep in archives it lies; 1 is in none. Default: 1.

    Yields:
        The path in the archive, and the file, which can be read until the next one is asked for. A zip archive's are
        sorted by path, a tar archive's in its order.

    Raises:
        InputError: if the archive is damaged, nested too deep, holds too many files, or unpacks without measure.
    """
    if depth > session.limits.archive_depth:
        raise InputError(
            f"{file}: an archive in {depth - 1} others. Expected at most {session.limits.archive_depth} levels. Unpack "
            "it, or raise `archive_depth` of the limits."
        )
    members = read_zip(file, session) if archive_kind(file.name) == "zip" else read_tar(file, session)
    for path, member in members:
        if archive_kind(path) is None:
            yield path, member
            continue
        inside = read_archive(member, session, depth=depth + 1)
        yield from session.bear(((f"{path}/{inner}", found) for inner, found in inside), member.label)


def list_archive(file: DataFile, session: ReadSession) -> list[str]:
    """Lists the paths of the files in an archive, whether or not they can be read; a tar archive is read for it."""
    listing = ReadSession(session.limits.archive_members, limits=session.limits)
    return [path for path, _ in read_archive(file, listing)]


def read_zip(file: DataFile, session: ReadSession) -> Iterator[Member]:
    """Reads the files of a zip archive, sorted by path."""
    limits = session.limits
    with file.open_seekable(limits) as opened:
        try:
            archive = zipfile.ZipFile(opened)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise InputError(f"Could not read {file} as a zip archive: {first_line(error)}. Fetch it again.") from error
        with archive:
            found = archive.infolist()
            check_zip(found, str(file), limits)
            for info in sorted(found, key=lambda info: info.filename.split("/")):
                label = f"{file}/{info.filename}"
                problem = name_problem(info.orig_filename) or zip_problem(info)
                if problem:
                    session.reject(member_error(label, problem), label)
                elif not info.is_dir() and not is_hidden(info.filename):
                    opener = partial(open_zip_member, archive, info, label)
                    yield info.filename, DataFile(label, opener)


def check_zip(members: list[zipfile.ZipInfo], label: str, limits: ReadLimits) -> None:
    """Raises an InputError if a zip archive's list of files says that it is too large, or a bomb.

    Reading never goes beyond the sizes listed there, so that what is checked here holds.
    """
    check_count(len(members), label, limits)
    unpacked = sum(info.file_size for info in members)
    packed = sum(info.compress_size for info in members)
    if unpacked > limits.archive_bytes:
        raise too_large(label, unpacked, limits)
    if not limits.allows_unpacked(unpacked, packed):
        raise InputError(
            f"{label} unpacks to more than {limits.compression_ratio:g} times its size: {unpacked:,} bytes from "
            f"{packed:,}. Expected an archive that is not a bomb. If you trust it, raise `compression_ratio` of the "
            "limits."
        )


def zip_problem(info: zipfile.ZipInfo) -> str | None:
    """Returns why a file of a zip archive is not read."""
    if info.flag_bits & ENCRYPTED:
        return "is encrypted"
    kind = info.external_attr >> 28  # Unix' file type, if the archive was made there
    return None if kind in (0, 0o10) else "is a link or a device"


def open_zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, label: str) -> BinaryIO:
    """Opens a file of a zip archive."""
    try:
        opened = cast(BinaryIO, archive.open(info))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise DamagedFileError(label, first_line(error), "zip") from error
    return cast(BinaryIO, io.BufferedReader(CheckedMember(opened, label, "zip"), BUFFER_BYTES))


class CheckedMember(io.RawIOBase):
    """A file of an archive whose reading ends in a DamagedFileError where it is damaged."""

    def __init__(self, file: BinaryIO, label: str, kind: str) -> None:
        self._file, self._label, self._kind = file, label, kind

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except InputError:
            raise
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
            raise DamagedFileError(self._label, first_line(error), self._kind) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def read_tar(file: DataFile, session: ReadSession) -> Iterator[Member]:
    """Reads the files of a tar archive in its order, as a stream."""
    limits = session.limits
    compression = tar_compression(file.name)
    opened = file.opener()
    stream = unpack(opened, compression, file.label, limits) if compression else opened
    count, unpacked = 0, 0
    with stream:
        bounded = Bounded(stream, limits.archive_bytes, file.label)
        try:
            with tarfile.open(fileobj=cast(BinaryIO, bounded), mode="r|") as archive:
                while (info := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined]  # else it grows with the archive
                    count, unpacked = count + 1, unpacked + info.size
                    check_count(count, file.label, limits)
                    if unpacked > limits.archive_bytes:
                        raise too_large(file.label, unpacked, limits)
                    label = f"{file}/{info.name}"
                    is_ordinary = info.isfile() or info.isdir()
                    problem = name_problem(info.name) or (None if is_ordinary else "is a link or a device")
                    if problem:
                        session.reject(member_error(label, problem), label)
                    elif info.isfile() and not is_hidden(info.name):
                        opener = partial(open_tar_member, archive, info, label)
                        yield info.name.removeprefix("./"), DataFile(label, opener)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise InputError(f"Could not read {file} as a tar archive: {first_line(error)}. Fetch it again.") from error


def open_tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo, label: str) -> BinaryIO:
    """Opens a file of a tar archive."""
    opened = archive.extractfile(info)
    assert opened is not None
    checked = CheckedMember(cast(BinaryIO, opened), label, "tar")
    return cast(BinaryIO, io.BufferedReader(checked, BUFFER_BYTES))


def check_count(count: int, label: str, limits: ReadLimits) -> None:
    """Raises an InputError if an archive has too many files."""
    if count > limits.archive_members:
        raise InputError(
            f"{label} holds more than {limits.archive_members:,} files. Expected fewer. If you trust it, raise "
            "`archive_members` of the limits."
        )


def too_large(label: str, size: int, limits: ReadLimits) -> InputError:
    """Makes the error for an archive that unpacks to too much."""
    return InputError(
        f"{label} unpacks to {size:,} bytes. Expected at most {limits.archive_bytes:,}. If you trust it, raise "
        "`archive_bytes` of the limits."
    )


def name_problem(name: str) -> str | None:
    """Returns why a name in an archive is refused: it leads out of the archive, or is no path."""
    parts = name.replace("\\", "/").split("/")
    if "\0" in name or not name:
        return "has no valid name"
    if ".." in parts or parts[0] == "" or (len(parts[0]) == 2 and parts[0][1] == ":"):
        return "leads out of the archive"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    return None


def is_hidden(name: str) -> bool:
    """Returns whether a path in an archive is hidden, or one of macOS' additions; `..` is not."""
    return any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in name.split("/"))


def member_error(label: str, problem: str) -> InputError:
    """Makes the error for a file of an archive that is not read."""
    return InputError(f"{label} {problem}. Expected ordinary files below the archive's root. Pack it again without.")
