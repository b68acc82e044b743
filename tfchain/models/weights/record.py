"""The record in a model folder saved by tfchain: fingerprints, which otherwise take reading all weights."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.atomic import PARTIAL_PREFIX

RECORD = "tfchain.json"
FORMAT = 1  # increased when the fingerprint of the same model changes
SAME_TICK_NS = 50_000_000  # the clock of a file system may not advance for this long


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """The fingerprints of a folder's content.

    Args:
        encoder: The encoder's fingerprint.
        text_encoder: The fingerprint of the text encoder that the folder describes.
        tokenizer: What tokenizer.json does not contain (`TokenizerNotes`); None if only transformers can read it.
    """

    encoder: str
    text_encoder: str
    tokenizer: Mapping[str, Any] | None = None


def write_record(folder: Path, record: ModelRecord) -> None:
    """Writes a folder's fingerprints with the size, the modification time and the digest of each of its files.

    Args:
        folder: The folder, complete except for the record.
        record: The fingerprints.
    """
    files = {
        name: [(folder / name).stat().st_size, (folder / name).stat().st_mtime_ns, _digest(folder / name)]
        for name in _list_files(folder)
    }
    values = {"format": FORMAT, **dataclasses.asdict(record), "files": files}
    (folder / RECORD).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_record(folder: Path) -> ModelRecord | None:
    """Reads a folder's record; returns None if there is no record, or a file has changed since.

    A file counts as unchanged if its size and time match the record. If only the time differs, as after a copy, or the
    file is as new as the record, the file is read and its digest is compared.

    Args:
        folder: The folder.
    """
    path = folder / RECORD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        written = path.stat().st_mtime_ns
        if values["format"] != FORMAT or set(values["files"]) != set(_list_files(folder)):
            return None
        for name, (size, mtime, digest) in values["files"].items():
            found = (folder / name).stat()
            is_older = found.st_mtime_ns == mtime < written - SAME_TICK_NS
            if found.st_size != size or not (is_older or _digest(folder / name) == digest):
                return None
        return ModelRecord(
            encoder=str(values["encoder"]), text_encoder=str(values["text_encoder"]), tokenizer=values["tokenizer"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _list_files(folder: Path) -> list[str]:
    """Returns the files of a folder and its subfolders, except the record and a writer's partial files."""
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return [name for name in found if name != RECORD and not name.startswith(PARTIAL_PREFIX)]


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
