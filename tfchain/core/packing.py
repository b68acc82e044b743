"""A folder as bytes: how what has a saved form is pickled and copied."""

import contextlib
import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def pack(save: Callable[[Path], object]) -> bytes:
    """The files of a folder, as bytes.

    Args:
        save: Writes into an empty folder, which is there for this call alone.
    """
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="tfchain-") as folder:
        save(Path(folder))
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(folder, arcname=".")
    return packed.getvalue()


@contextlib.contextmanager
def unpacked(packed: bytes) -> Iterator[Path]:
    """Yields a folder with the files that `pack` took; it is gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="tfchain-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)
