"""The limits within which files are read: files are data from strangers, and none may take the machine down."""

from dataclasses import dataclass, fields

from tfchain.core.errors import InputError

MIB = 2**20
FREE_BYTES = 64 * MIB
"""What compressed data may unpack to whatever the ratio: a short file of one repeated line is no attack."""


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """How much one file may take; what goes beyond is a broken record, not an endless run.

    Args:
        line_bytes: The longest line of a file of lines, and the longest row of a table. Default: 32 MiB.
        file_bytes: The largest text file, JSON document, or file that text is extracted from. Default: 256 MiB.
        archive_members: The most files in an archive. Default: 100,000.
        archive_bytes: The most bytes that all files of an archive unpack to. Default: 64 GiB.
        archive_depth: How deep archives may lie in archives; 1 is an archive in none. Default: 3.
        compression_ratio: How many times its size compressed data may unpack to, beyond the first 64 MiB. Text shrinks
            3 to 20 times, logs up to 100 times, bombs 1,000 times and more. Default: 200.
        seconds: The longest extraction of text from one file; its process is then killed. Default: 60.
        memory_bytes: The most address space of that process. Default: 2 GiB.
        unpacked_bytes: The most bytes that a .docx, .pptx, .xlsx or .epub file, which are zip archives, unpacks to.
            Default: 1 GiB.
        pages: The most pages of a PDF, slides, or chapters. Default: 10,000.
        characters: The longest extracted text. Default: 20,000,000.

    Raises:
        InputError: if a value is not above 0.
    """

    line_bytes: int = 32 * MIB
    file_bytes: int = 256 * MIB
    archive_members: int = 100_000
    archive_bytes: int = 64 * 1024 * MIB
    archive_depth: int = 3
    compression_ratio: float = 200.0
    seconds: float = 60.0
    memory_bytes: int = 2048 * MIB
    unpacked_bytes: int = 1024 * MIB
    pages: int = 10_000
    characters: int = 20_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise InputError(
                    f"`{field.name}` of the limits must be a number above 0. Received: {field.name}={value!r:.60}. "
                    "Give a large number to lift the limit.",
                    argument="limits",
                )

    def allows_unpacked(self, unpacked: int, packed: int) -> bool:
        """Returns whether so many compressed bytes may unpack to so many bytes."""
        return unpacked <= FREE_BYTES or unpacked <= self.compression_ratio * packed
