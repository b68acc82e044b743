"""Files that workers write and the pipeline's start reads: on a disk that all machines see, or in an object store."""

import uuid
from contextlib import suppress
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from tfchain.core.atomic import write_file
from tfchain.core.errors import TfchainError, first_line


def is_url(path: str) -> bool:
    """Returns whether a path is in an object store or another file system of Beam's, such as `gs://bucket/set`."""
    return "://" in path


def join(folder: str, *names: str) -> str:
    """Returns the path of a file below a folder."""
    return "/".join((folder.rstrip("/"), *names))


def write_bytes(path: str, data: bytes) -> None:
    """Writes a file that appears whole or not at all, and replaces an earlier one.

    Object stores show an object when it is closed. Where there are folders, the file is written beside and renamed.

    Raises:
        TfchainError: if it cannot be written.
    """
    if not is_url(path):
        write_file(path, data)
        return
    try:
        if not FileSystems.get_filesystem(path).has_dirs():
            create(path, data)
            return
        partial = f"{path}.partial-{uuid.uuid4().hex}"
        create(partial, data)
        if FileSystems.exists(path):
            FileSystems.delete([path])
        FileSystems.rename([partial], [path])
    except (BeamIOError, OSError, ValueError) as error:
        raise TfchainError(f"Could not write {path}: {first_line(error)}. Run the pipeline again.") from error


def create(path: str, data: bytes) -> None:
    """Creates a file."""
    with FileSystems.create(path, compression_type="uncompressed") as file:
        file.write(data)


def read_bytes(path: str) -> bytes | None:
    """Reads a file; `None` if it does not exist.

    Raises:
        TfchainError: if it cannot be read.
    """
    if not is_url(path):
        return Path(path).read_bytes() if Path(path).is_file() else None
    try:
        if not FileSystems.exists(path):
            return None
        with FileSystems.open(path, compression_type="uncompressed") as file:
            found: bytes = file.read()
            return found
    except (BeamIOError, OSError, ValueError) as error:
        raise TfchainError(f"Could not read {path}: {first_line(error)}. Check the path and your rights.") from error


def list_names(folder: str) -> list[str]:
    """Returns the paths below a folder of the files there, sorted; none if there is no such folder."""
    if not is_url(folder):
        root = Path(folder)
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    found: list[str] = []
    with suppress(BeamIOError):
        for match in FileSystems.match([join(folder, "**")]):
            found += [item.path[len(folder.rstrip("/")) + 1 :] for item in match.metadata_list]
    return sorted(found)


def delete(paths: list[str]) -> None:
    """Deletes files, as far as they exist."""
    for path in paths:
        if is_url(path):
            with suppress(BeamIOError):
                FileSystems.delete([path])
        else:
            Path(path).unlink(missing_ok=True)
