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
HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
HIGH_BYTE = re.compile(rb"[\x80-\xff]")
WESTERN = "cp1252"  # what browsers read where nothing names an encoding
ENGLISH_SHARE = 0.03  # of bytes outside ASCII at most, in a text with a dash or an accent here and there
WESTERN_SHARE = 0.45  # of bytes outside ASCII at most, in a text in a Latin script
CHAOS_MARGIN, COHERENCE_MARGIN = 0.1, 0.03
USUAL = ("cp1251", "gb18030", "cp932", "big5", "cp949", "cp1250", "koi8_r")  # where several fit equally well
GB_PUNCTUATION = (0xA1, 0xA3)  # the rows of punctuation, and of full-width letters and digits
LEAST_CHARACTERS = 4
KNOWN = (  # those of the Encoding Standard that browsers follow, without those for compatibility alone
    *("utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be"),
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874", "cp866"),
    *("iso8859_2", "iso8859_5", "iso8859_7", "iso8859_15", "koi8_r", "koi8_u"),
    *("gb18030", "big5", "cp932", "euc_jp", "cp949"),
)
CHUNK_BYTES = 2**18


def find_encoding(data: bytes, *, least_wrong_bytes: int = 1, is_cut: bool = False) -> str | None:
    """Finds the encoding of a text that may not be UTF-8.

    Args:
        data: The text, or its beginning.
        least_wrong_bytes: How many bytes that are not UTF-8 it takes before another encoding is considered. Default: 1.
        is_cut: Whether it is a beginning, so that a character may be cut off at its end. Default: False.

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
        if is_utf8(data, is_cut=is_cut):
            return "utf_8"
        high = len(HIGH_BYTE.findall(data))
        wrong = high - sum(map(len, UTF8_CHARACTER.findall(data)))
        if wrong < least_wrong_bytes or (wrong < high / 2 and not is_simplified_chinese(data[:SAMPLE_BYTES])):
            return "utf_8"
    return guess_encoding(data[:SAMPLE_BYTES], wide=wide)


def is_utf8(data: bytes, *, is_cut: bool) -> bool:
    """Returns whether bytes are UTF-8; if they are cut, but for a character at their end."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=not is_cut)
    except UnicodeDecodeError:
        return False
    return True


def guess_encoding(data: bytes, *, wide: bool = False) -> str | None:
    """Returns the encoding in which bytes look most like a text, by charset-normalizer; None if they look like none.

    Of encodings that explain the bytes about as well as its first choice, the most usual is taken: in a short text a
    single accent has a meaning in dozens of them, and the Central European one turns French accents into Czech ones.

    Args:
        data: The text, or its beginning.
        wide: Whether it has 16 or 32 bits a character. Default: False.
    """
    from charset_normalizer import from_bytes

    if not wide and is_simplified_chinese(data):
        return "gb18030"
    high = len(HIGH_BYTE.findall(data))
    if not wide and high < len(data) * ENGLISH_SHARE and is_western(data):
        return WESTERN
    matches = list(from_bytes(data, cp_isolation=list(KNOWN)))
    found = [match for match in matches if wide or not match.encoding.startswith(("utf_16", "utf_32"))] or matches
    if not found:
        return None
    best = found[0]
    close = {
        name
        for match in found
        if match.chaos <= best.chaos + CHAOS_MARGIN and match.coherence >= best.coherence - COHERENCE_MARGIN
        for name in (match.encoding, *match.could_be_from_charset)
    }
    if WESTERN in close and high < len(data) * WESTERN_SHARE:
        return WESTERN
    equal = {match.encoding for match in found if (match.chaos, match.coherence) == (best.chaos, best.coherence)}
    if "gb18030" in equal and all(len(run) % 2 == 0 for run in HIGH_BYTES.findall(data)):
        return "gb18030"
    return next((name for name in USUAL if name in equal), str(best.encoding))


def is_simplified_chinese(data: bytes) -> bool:
    """Returns whether bytes are characters of GB 2312's first level, the 3,755 most frequent ones, and its punctuation.

    charset-normalizer takes a sentence in it for Thai. The level is sorted by sound (rows B0 to D7): two characters in
    five come after row C8, with which Korean syllables end; Thai and Cyrillic have bytes above D7. The second byte of
    two in three characters is C0 or above, which no second byte of a character in UTF-8 is.
    """
    runs = HIGH_BYTES.findall(data)
    if any(len(run) % 2 for run in runs):
        return False
    firsts, seconds = (b"".join(run[part::2] for run in runs) for part in (0, 1))
    characters = [first for first in firsts if first not in GB_PUNCTUATION]
    frequent = sum(0xB0 <= first <= 0xD7 for first in characters)
    late = sum(0xC9 <= first <= 0xD7 for first in characters)
    if len(characters) < LEAST_CHARACTERS or sum(second >= 0xC0 for second in seconds) < len(seconds) / 3:
        return False
    return frequent >= 0.95 * len(characters) and late >= 0.2 * len(characters)


def is_western(data: bytes) -> bool:
    """Returns whether all bytes are characters of Windows' Western encoding, which leaves five without one."""
    try:
        data.decode(WESTERN)
    except UnicodeDecodeError:
        return False
    return True


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
