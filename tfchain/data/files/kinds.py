"""What a file holds, by its name."""

from tfchain.data.files.compression import COMPRESSIONS, split_compression
from tfchain.data.files.data_file import DataFile

TEXT_ENDINGS = (".txt", ".md", ".rst", ".text")
SHORT_TARS = {".tgz": ".gz", ".tbz2": ".bz2", ".txz": ".xz", ".tzst": ".zst"}


def archive_kind(name: str) -> str | None:
    """Returns `zip` or `tar` for the name of an archive, else None."""
    bare, compression = split_compression(name)
    if bare.endswith(".zip") and not compression:
        return "zip"
    return "tar" if bare.endswith((".tar", *SHORT_TARS)) else None


def is_text(file: DataFile) -> bool:
    """Returns whether a file is one text."""
    return file.ending in TEXT_ENDINGS


def tar_compression(name: str) -> str:
    """Returns the ending of the compression of a tar archive, or `""`."""
    bare, compression = split_compression(name)
    return compression or next((full for short, full in SHORT_TARS.items() if bare.endswith(short)), "")


def with_compressions(*endings: str) -> tuple[str, ...]:
    """Returns endings, and each followed by that of each compression."""
    return (*endings, *(f"{ending}{packed}" for ending in endings for packed in COMPRESSIONS))
