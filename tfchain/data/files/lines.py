"""Lines of UTF-8 files, plain or gzipped, one at a time, with errors that name the file and the line."""

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tfchain.core.errors import InputError
from tfchain.data.files.paths import printable, to_path

NEW_LINE = b"\n"
UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_lines(path: Path | str) -> Iterator[tuple[int, str]]:
    """Reads a file line by line, so that memory does not grow with it.

    Lines end only at a line feed (not at U+2028 and the like, which may occur inside a JSON string).

    Args:
        path: A UTF-8 file, with or without a byte order mark; gzipped if its name ends in `.gz`.

    Yields:
        The line's number, from 1, and its text, including the line feed.

    Raises:
        InputError: if the file is missing, empty, not readable, not gzip, or not UTF-8.
    """
    path = to_path(path)
    number, offset = 0, 0
    with open_bytes(path) as file:
        try:
            for number, line in enumerate(file, 1):
                data = line.removeprefix(UTF8_MARK) if number == 1 else line
                yield number, decode(data, path, line=number, offset=offset + len(line) - len(data))
                offset += len(line)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(
                f"Could not unpack {path} after line {number}: {error}. Expected a whole gzip file. Fetch it again."
            ) from error
    if not number:
        raise InputError(f"{path} is empty. Expected lines of text.")


def read_text(path: Path | str) -> str:
    """Reads a whole UTF-8 file, with or without a byte order mark.

    Raises:
        InputError: if the file is missing, not readable, or not UTF-8.
    """
    path = to_path(path)
    with open_bytes(path) as file:
        data = file.read()
    text = data.removeprefix(UTF8_MARK)
    return decode(text, path, line=1, offset=len(data) - len(text))


def open_bytes(path: Path) -> BinaryIO:
    """Opens a file for reading; raises an InputError that says what to do if that fails.

    Refuses pipes and devices: opening a pipe without a writer blocks forever, and rows are read more than once.
    """
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise InputError(
                f"Expected an ordinary file. Received a pipe, a socket or a device: {printable(path)}. Write its "
                "content to a file."
            )
        if path.suffix.lower() == ".gz":
            return cast(BinaryIO, gzip.open(path, "rb"))
        return path.open("rb")
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


def decode(data: bytes, path: Path, *, line: int, offset: int) -> str:
    """Decodes a part of a file that begins at the given line and byte offset."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if offset == 0 and data.startswith(UTF16_MARKS) else "ENCODING"
        where = "" if encoding == "UTF-16" else " (ENCODING is what it was written in: GB18030, LATIN1, …)"
        raise InputError(
            f"{path}:{line + data.count(NEW_LINE, 0, error.start)}: not UTF-8: byte 0x{data[error.start]:02x} "
            f"at offset {offset + error.start}. Convert the file with `iconv -f {encoding} -t UTF-8 OLD > NEW`{where}."
        ) from None
