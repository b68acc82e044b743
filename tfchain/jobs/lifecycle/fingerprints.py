"""Hashes of what a step depends on: plain values, and files and folders by their content."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfchain.core.atomic import PARTIAL_PREFIX

BLOCK_BYTES = 1 << 20
MISSING = "missing"


def hash_value(value: Any) -> str:
    """Hashes a plain value; the order of keys does not matter.

    Returns:
        64 hexadecimal digits (SHA-256).
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def hash_path(path: Path) -> str:
    """Hashes a file's content, or the names and contents of all files in a folder.

    What a killed writer left behind (`.partial-…`) and hidden lock files do not count. Folders that are links are
    followed, each folder once. A file that goes while this reads, as in the log of a server that works, is `missing`.

    Returns:
        64 hexadecimal digits; `missing` if there is nothing at the path.
    """
    if path.is_file():
        return _hash_file(path)
    if not path.is_dir():
        return MISSING
    digest = hashlib.sha256()
    for file in _list_files(path):
        name = file.relative_to(path).as_posix()
        digest.update(f"{name}\0{_hash_file(file)}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _list_files(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(PARTIAL_PREFIX))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(parent) / name


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
    except FileNotFoundError:
        return MISSING
    return digest.hexdigest()
