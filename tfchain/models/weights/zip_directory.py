"""The directory of a zip archive whose files are stored as they are: where each begins, checked against the file."""

import struct

from tfchain.models.weights.open_file import OpenFile

LARGEST_DIRECTORY = 64 << 20  # bytes
LONGEST_END = 22 + 0xFFFF  # the end record with the longest comment
END, END_64, LOCATOR_64, ENTRY, LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2", b"PK\3\4"
IN_64 = 0xFFFFFFFF  # the value of a 32-bit field whose number stands in a 64-bit one
ENCRYPTED = 0x1


class ZipError(ValueError):
    """An archive is damaged, or has what no archive of weights has; the message completes "it cannot be read: "."""


class ZipDirectory:
    """The files of a zip archive: name → where its bytes are.

    Compressed and encrypted files cannot be found, so that an archive never unpacks to more than its own size. Names
    are keys of a dict, and never become paths.

    Args:
        file: The archive.

    Raises:
        ZipError: if the directory is damaged, too large, or lists a name twice.
    """

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        begin, length, count = self._find_directory()
        self._end = begin
        self._entries = self._read_entries(file.read_bytes(begin, length), count)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    @property
    def names(self) -> list[str]:
        """The names of the files, in the archive's order."""
        return list(self._entries)

    def find(self, name: str) -> tuple[int, int]:
        """Returns the place of a file's first byte in the archive, and its size.

        Raises:
            ZipError: if there is no such file, it is compressed or encrypted, or it does not lie in the archive.
        """
        if name not in self._entries:
            raise ZipError(f"it has no {name[:100]}")
        place, size, is_plain = self._entries[name]
        if not is_plain:
            raise ZipError(f"{name[:100]} in it is compressed or encrypted, which PyTorch's files are not")
        if place + 30 > self._end:
            raise ZipError(f"{name} is not where its directory says")
        header = self._file.read_bytes(place, 30)
        begin = place + 30 + sum(struct.unpack("<HH", header[26:30]))
        if header[:4] != LOCAL or begin + size > self._end:
            raise ZipError(f"{name} is not where its directory says")
        return begin, size

    def _find_directory(self) -> tuple[int, int, int]:
        """Returns the directory's place, its length in bytes, and its number of files."""
        size = self._file.size
        start = max(0, size - LONGEST_END)
        tail = self._file.read_bytes(start, size - start)
        at = tail.rfind(END)
        if at < 0 or len(tail) - at < 22:
            raise ZipError("it is a zip archive without an end")
        count, length, begin = struct.unpack("<HII", tail[at + 10 : at + 20])
        if IN_64 in (length, begin) or count == 0xFFFF:
            count, length, begin = self._find_directory_64(start + at)
        if length > LARGEST_DIRECTORY or begin + length > start + at:
            raise ZipError(f"its directory claims {length} bytes from byte {begin} on, of a file of {size}")
        return begin, length, count

    def _find_directory_64(self, end: int) -> tuple[int, int, int]:
        locator = self._file.read_bytes(end - 20, 20) if end >= 20 else b""
        if locator[:4] != LOCATOR_64:
            raise ZipError("its directory has no 64-bit end")
        place = struct.unpack("<Q", locator[8:16])[0]
        record = self._file.read_bytes(place, 56) if place + 56 <= end else b""
        if record[:4] != END_64:
            raise ZipError("its directory has no 64-bit end")
        count, length, begin = struct.unpack("<QQQ", record[32:56])
        return count, length, begin

    def _read_entries(self, directory: bytes, count: int) -> dict[str, tuple[int, int, bool]]:
        entries: dict[str, tuple[int, int, bool]] = {}
        at = 0
        while at < len(directory):
            fixed = directory[at : at + 46]
            if len(fixed) < 46 or fixed[:4] != ENTRY:
                raise ZipError("its directory is damaged")
            flags, method = struct.unpack("<HH", fixed[8:12])
            packed, size, name_length, extra_length, comment_length = struct.unpack("<IIHHH", fixed[20:34])
            place = struct.unpack("<I", fixed[42:46])[0]
            at += 46
            name = directory[at : at + name_length].decode("utf-8", "replace")
            extra = directory[at + name_length : at + name_length + extra_length]
            at += name_length + extra_length + comment_length
            size, packed, place = _read_64(extra, size, packed, place)
            if name in entries:
                raise ZipError(f"it lists {name[:100]} twice")
            entries[name] = place, size, not method and not flags & ENCRYPTED and size == packed
        if at != len(directory) or len(entries) != count:
            raise ZipError("its directory is damaged")
        return entries


def _read_64(extra: bytes, *numbers: int) -> list[int]:
    """Returns a file's size, packed size and place: those that do not fit into 32 bits stand in the extra field."""
    at, large = 0, b""
    while at + 4 <= len(extra):
        kind, length = struct.unpack("<HH", extra[at : at + 4])
        if kind == 1:
            large = extra[at + 4 : at + 4 + length]
        at += 4 + length
    found = []
    for number in numbers:
        if number == IN_64:
            if len(large) < 8:
                raise ZipError("its directory is damaged")
            number, large = struct.unpack("<Q", large[:8])[0], large[8:]
        found.append(number)
    return found
