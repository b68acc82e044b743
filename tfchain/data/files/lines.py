"""Lines of text files, plain or compressed, one at a time, with errors that name the file and the line."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tfchain.core.errors import InputError, first_line
from tfchain.data.files.compression import BUFFER_BYTES, DamagedFileError
from tfchain.data.files.data_file import DataFile, open_path, to_file
from tfchain.data.files.encodings import (
    LEAST_WRONG_BYTES,
    MARKS,
    SAMPLE_BYTES,
    UTF8_MARK,
    find_encoding,
    recode,
)
from tfchain.data.files.paths import to_path
from tfchain.data.files.place import Place
from tfchain.data.files.read_session import SHOWN_CHARACTERS, ReadSession

NEW_LINE = b"\n"
SKIPPED_BYTES = 2**20  # of a line that is too long, read at once


class BadLineError(InputError):
    """A line that cannot be read; the lines after it can.

    Args:
        message: The text.
        place: Where the line is.
        data: Its bytes, or their beginning.
    """

    def __init__(self, message: str, place: Place, data: bytes) -> None:
        super().__init__(message)
        self.place, self.data = place, data


class LineReader:
    """Iterates over a file's lines; after a BadLineError, the next call goes on with the line after it.

    Lines end only at a line feed (not at U+2028 and the like, which may occur inside a JSON string). Use it in a `with`
    block.

    Args:
        file: The file.
        session: The limits; the encoding that is found is noted there.
        detect: Whether a file that is not UTF-8 is read in the encoding that it looks like. Without, only UTF-8 is
            read. Default: False.
        keep_bad: Whether a line that is not UTF-8 is returned, with surrogates for its broken bytes, and remembered,
            instead of raised: a row of several lines goes on after it. Default: False.

    Attributes:
        number: The number of the last line.
        row_bytes: The bytes read since this was last set to 0: what a row of several lines takes.
        bad_line: With `keep_bad`, the last line that is not UTF-8; None if there was none, or it has been set to None.
    """

    def __init__(self, file: DataFile, session: ReadSession, *, detect: bool = False, keep_bad: bool = False) -> None:
        self._label = file.label
        self._limit = session.limits.line_bytes
        self.number, self._offset = 0, 0
        self.row_bytes = 0
        self.bad_line: BadLineError | None = None
        self._keep_bad = keep_bad
        opened = file.open(session.limits)
        if detect:
            opened = self._detect(opened, session)
        self._file = opened

    def __enter__(self) -> "LineReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> "LineReader":
        return self

    def __next__(self) -> tuple[int, str]:
        """Returns the next line's number, from 1, and its text, including the line feed."""
        try:
            data = self._file.readline(self._limit + 1)
        except DamagedFileError as error:
            raise error.after_line(self.number) from error
        except OSError as error:  # a store that went away
            raise InputError(f"Could not read {self._label} after line {self.number}: {first_line(error)}.") from error
        if not data:
            if not self.number:
                raise InputError(f"{self._label} is empty. Expected lines of text.")
            raise StopIteration
        self.number += 1
        start = self._offset
        self._offset += len(data)
        self.row_bytes += len(data)
        if len(data) > self._limit or self.row_bytes > self._limit:
            raise self._skip(data)
        if self.number == 1 and data.startswith(UTF8_MARK):
            data, start = data[len(UTF8_MARK) :], start + len(UTF8_MARK)
        try:
            return self.number, data.decode("utf-8")
        except UnicodeDecodeError as error:
            message = not_utf8(data, error, self._label, line=self.number, offset=start)
            self.bad_line = BadLineError(message, Place(f"{self._label}:", self.number), data)
            if not self._keep_bad:
                raise self.bad_line from None
            return self.number, data.decode("utf-8", "surrogateescape")

    def _skip(self, data: bytes) -> BadLineError:
        """Reads the rest of a line that is too long, and returns its error."""
        size, rest = self.row_bytes, data
        while not rest.endswith(NEW_LINE) and (rest := self._file.readline(SKIPPED_BYTES)):
            self._offset += len(rest)
            size += len(rest)
        self.row_bytes = 0
        place = Place(f"{self._label}:", self.number)
        return BadLineError(
            f"{place}: a line or row of {size:,} bytes. Expected at most {self._limit:,}. Check that the file has line "
            "ends, or raise `line_bytes` of the limits.",
            place,
            data[:SHOWN_CHARACTERS],
        )

    def _detect(self, file: BinaryIO, session: ReadSession) -> BinaryIO:
        """Returns a stream of the file's text in UTF-8."""
        peeked = Peeked(file)
        sample = peeked.peek(SAMPLE_BYTES)
        is_cut = len(sample) == SAMPLE_BYTES
        encoding = find_encoding(sample, least_wrong_bytes=LEAST_WRONG_BYTES, is_cut=is_cut)
        stream = cast(BinaryIO, io.BufferedReader(peeked, BUFFER_BYTES))
        if encoding in (None, "utf_8"):
            return stream
        session.note_encoding(str(encoding), self._label)
        return recode(stream, str(encoding), self._label)


class Peeked(io.RawIOBase):
    """A stream whose beginning can be looked at first."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._beginning = b""

    def peek(self, size: int) -> bytes:
        """Returns the first `size` bytes, which are still read afterwards."""
        self._beginning = self._file.read(size)
        return self._beginning

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._beginning[: len(buffer)] or self._file.read(len(buffer))
        self._beginning = self._beginning[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def read_lines(path: Path | str | DataFile, session: ReadSession | None = None) -> Iterator[tuple[int, str]]:
    """Reads a UTF-8 file line by line, so that memory does not grow with it.

    Args:
        path: A UTF-8 file, with or without a byte order mark; unpacked if its name ends in `.gz`, `.zst`, `.bz2` or
            `.xz`.
        session: Limits, and what becomes of lines that cannot be read. Default: the first one is an error.

    Yields:
        The line's number, from 1, and its text, including the line feed.

    Raises:
        InputError: if the file is missing, empty, damaged, or not readable, or more lines than the session bears are
            too long or not UTF-8.
    """
    session = session or ReadSession()
    with LineReader(to_file(path), session) as lines:
        while True:
            lines.row_bytes = 0
            try:
                line = next(lines)
            except StopIteration:
                return
            except BadLineError as error:
                session.reject(error, error.place, error.data)
                continue
            yield line


def read_text(path: Path | str) -> str:
    """Reads a whole UTF-8 file, with or without a byte order mark.

    Raises:
        InputError: if the file is missing, not readable, or not UTF-8.
    """
    file = to_file(to_path(path))
    with open_path(to_path(path)) as opened:
        return decode(opened.read(), file.label)


def read_any_text(file: DataFile, session: ReadSession) -> str:
    """Reads a whole text file in UTF-8 or, where it is not, in the encoding that it looks like.

    A file that is mostly UTF-8 is not read as something else for the sake of a damaged byte: that is an error.

    Raises:
        InputError: if the file is missing, too large, not readable, damaged, or in no encoding that is known.
    """
    data = file.read(session.limits)
    encoding = find_encoding(data)
    if encoding == "utf_8":
        return decode(data, file.label)
    if encoding is None:
        raise InputError(
            f"{file.label}: not a text: in no encoding do its bytes look like one. Received: {data[:20]!r}. Leave the "
            "file out, or convert it to UTF-8."
        )
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file.label}: not UTF-8, and not {encoding}, which it looks like: {error.reason} at offset "
            f"{error.start}. Convert the file with `iconv -f ENCODING -t UTF-8 OLD > NEW`."
        ) from None
    session.note_encoding(encoding, file.label)
    return text


def decode(data: bytes, label: str) -> str:
    """Decodes a UTF-8 file, with or without a byte order mark."""
    text = data.removeprefix(UTF8_MARK)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(not_utf8(text, error, label, line=1, offset=len(data) - len(text))) from None


def not_utf8(data: bytes, error: UnicodeDecodeError, label: str, *, line: int, offset: int) -> str:
    """Says where a part of a file, which begins at the given line and byte offset, is not UTF-8."""
    marked = next((name for mark, name in MARKS if offset == 0 and data.startswith(mark)), None)
    encoding = marked.replace("utf_", "UTF-") if marked else "ENCODING"
    where = "" if marked else " (ENCODING is what it was written in: GB18030, LATIN1, …)"
    if not marked:
        found = find_encoding(data[:SAMPLE_BYTES], least_wrong_bytes=LEAST_WRONG_BYTES)
        if found not in (None, "utf_8"):
            encoding, where = str(found).upper(), f" (it looks like {found})"
    return (
        f"{label}:{line + data.count(NEW_LINE, 0, error.start)}: not UTF-8: byte 0x{data[error.start]:02x} at offset "
        f"{offset + error.start}. Convert the file with `iconv -f {encoding} -t UTF-8 OLD > NEW`{where}."
    )
