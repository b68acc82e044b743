"""Encodings other than UTF-8: found by a mark at the beginning, or by what the bytes look like."""

import codecs
import io
import re
from typing import Any, BinaryIO, cast

from tfchain.core.errors import InputError

UTF8_MARK = b"\xef\xbb\xbf"
MARKS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (b"\xff\xfe\0\0", "utf_32"),
    (b"\0\0\xfe\xff", "utf_32"),
    (b"\xff\xfe", "utf_16"),
    (b"\xfe\xff", "utf_16"),
)
SAMPLE_BYTES = 2**18
LEAST_WRONG_BYTES = 8  # of a table: with fewer, one damaged byte could change how all cells are read
UTF8_CHARACTER = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
HIGH_BYTE = re.compile(rb"[\x80-\xff]")
WESTERN = "cp1252"  # what browsers read where nothing names an encoding
CHUNK_BYTES = 2**18


def find_encoding(data: bytes, *, least_wrong_bytes: int = 1) -> str | None:
    """Finds the encoding of a text that may not be UTF-8.

    Args:
        data: The text, or its beginning (a character cut off at the end does not matter).
        least_wrong_bytes: How many bytes that are not UTF-8 it takes before another encoding is considered. Default: 1.

    Returns:
        Python's name of the encoding; `utf_8` if the text is UTF-8, with or without damaged bytes; None if it is not a
        text in an encoding that is known.
    """
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return encoding
    if data.startswith(UTF8_MARK):
        return "utf_8"
    wide = data[:4096].count(b"\0") * 8 > min(len(data), 4096)  # UTF-16 without a mark has a NUL in every ASCII letter
    if not wide:
        if is_utf8(data):
            return "utf_8"
        high = len(HIGH_BYTE.findall(data))
        wrong = high - sum(map(len, UTF8_CHARACTER.findall(data)))
        if wrong < max(least_wrong_bytes, high / 2):
            return "utf_8"
    return guess_encoding(data[:SAMPLE_BYTES])


def is_utf8(data: bytes) -> bool:
    """Returns whether bytes are UTF-8, but for a character that is cut off at the end."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def guess_encoding(data: bytes) -> str | None:
    """Returns the encoding in which bytes look most like a text, by charset-normalizer; None if they look like none.

    Where Windows' Western encoding explains them as well as its first choice, it is taken: the Central European one
    has the same bytes for many letters, and turns French accents into Czech ones.
    """
    from charset_normalizer import from_bytes

    found = from_bytes(data)
    best = found.best()
    if best is None:
        return None
    if WESTERN in best.could_be_from_charset:
        return WESTERN
    for other in found:
        if other.encoding == WESTERN and other.chaos <= best.chaos and other.coherence >= best.coherence:
            return WESTERN
    return str(best.encoding)


class Recoded(io.RawIOBase):
    """A file of another encoding as a stream of UTF-8.

    Args:
        file: The bytes.
        encoding: Their encoding.
        label: The file, for errors.
    """

    def __init__(self, file: BinaryIO, encoding: str, label: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._encoding, self._label = encoding, label
        self._rest = b""
        self._at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._at_end:
            data = self._file.read(CHUNK_BYTES)
            self._at_end = not data
            try:
                self._rest = self._decoder.decode(data, final=self._at_end).encode("utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{self._label}: not {self._encoding}, which it looks like: {error.reason}. Convert the file with "
                    f"`iconv -f ENCODING -t UTF-8 OLD > NEW`."
                ) from None
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def recode(file: BinaryIO, encoding: str, label: str) -> BinaryIO:
    """Returns a stream of UTF-8 with the text of a file in another encoding."""
    return cast(BinaryIO, io.BufferedReader(Recoded(file, encoding, label), CHUNK_BYTES))
