"""Reads and checks `chain.json`, the manifest of a saved chain, and locks a folder for its writer."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfchain import __version__
from tfchain.core.errors import IndexFolderError
from tfchain.core.file_lock import file_lock

MANIFEST = "chain.json"
FORMAT = 1
LOCK = ".lock"
# Of the folders that a chain writes.
FOLDER_PREFIXES = ("model-", "segment-", "codebook-", "reranker-", "pictures-", "retriever")


def read_manifest(path: Path) -> dict[str, Any]:
    """Reads chain.json.

    Raises:
        IndexFolderError: if the file is missing, damaged, or from a newer tfchain.
    """
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        version = manifest["format"]
    except FileNotFoundError:
        raise IndexFolderError(
            f"{path} holds no saved chain: it has no {MANIFEST}. Make a chain with `chain.save` or `tfchain index`."
        ) from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise IndexFolderError(f"{path / MANIFEST} cannot be read: {error}. Index the documents again.") from error
    if version != FORMAT:
        raise IndexFolderError(
            f"{path} has the format {version}; this tfchain reads format {FORMAT}. "
            + (advise(manifest) if "tfchain" in manifest else "Update tfchain, or index the documents again.")
        )
    return manifest


def advise(manifest: Mapping[str, Any]) -> str:
    """Returns advice for a folder that cannot be read: another version of tfchain may have saved it."""
    saved, mine = manifest.get("tfchain"), __version__
    if saved in (None, mine):
        return "Index the documents again."
    return f"It was saved by tfchain {saved}, and this is {mine}: use tfchain {saved}, or index the documents again."


def check_task(path: Path, manifest: Mapping[str, Any], task: str) -> None:
    """Raises if a saved chain belongs to another task; a manifest without a task is a search's."""
    found = manifest.get("task", "search")
    if found != task:
        raise IndexFolderError(
            f"{path} holds a saved chain of the task {found!r}. Expected: {task!r}. Use the chain class of that task, "
            "or another folder."
        )


def check_is_ours(path: Path) -> None:
    """Raises if a folder contains something other than a saved chain."""
    if path.is_file():
        raise IndexFolderError(f"A chain is saved as a folder. Received: {path}, which is a file. Name another path.")
    if path.is_dir() and not (path / MANIFEST).exists():
        others = [file.name for file in path.iterdir() if not file.name.startswith((".", *FOLDER_PREFIXES))]
        if others:
            raise IndexFolderError(
                f"{path} is not empty and holds no chain, but {', '.join(sorted(others)[:3])}. "
                "Nothing was written. Name an empty or new folder."
            )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Locks the folder against other writers while the block runs; the lock ends with the process, however it ends."""
    taken = IndexFolderError(
        f"Another process is writing {path}. Nothing was written. Wait for it, or save somewhere else."
    )
    with file_lock(path / LOCK, taken=taken):
        yield
