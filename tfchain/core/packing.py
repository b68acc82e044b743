"""A folder as bytes: how objects that save to a folder are pickled and copied."""

import contextlib
import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def pack(save: Callable[[Path], object]) -> bytes:
    """Returns the files of a folder as bytes.

    Args:
        save: Writes into an empty folder, which exists only during this call.
    """
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="tfchain-") as folder:
        save(Path(folder))
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(folder, arcname=".")
    return packed.getvalue()


@contextlib.contextmanager
def unpacked(packed: bytes) -> Iterator[Path]:
    """Yields a folder with the files that `pack` packed; it is deleted when the block ends."""
    with tempfile.TemporaryDirectory(prefix="tfchain-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            if hasattr(tarfile, "data_filter"):
                archive.extractall(folder, filter="data")
            else:  # before Python 3.11.4; Debian 12 has 3.11.2
                archive.extractall(folder)
        yield Path(folder)
