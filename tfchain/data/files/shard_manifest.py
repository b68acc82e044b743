"""The manifest of a folder of shards: which files belong to it, how many records each has, and their hashes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tfchain.core.errors import InputError
from tfchain.data.files.data_file import open_path
from tfchain.data.files.lines import read_text

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = 1

Kind = Literal["documents", "rows"]
ShardFormat = Literal["jsonl", "parquet", "tfrecord"]


@dataclass(frozen=True)
class Shard:
    """One file of a set.

    Args:
        name: The file's name in the folder.
        records: How many records it has.
        bytes: Its size.
        sha256: The hash of its content, 64 hexadecimal digits.
    """

    name: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a folder of shards holds.

    Args:
        kind: Whether the records are documents or rows.
        format: The format of the files.
        fingerprint: The hash of the set: of what it was made from and what it holds.
        shards: The files, in order.
    """

    kind: Kind
    format: ShardFormat
    fingerprint: str
    shards: tuple[Shard, ...]

    @property
    def records(self) -> int:
        """The number of records."""
        return sum(shard.records for shard in self.shards)

    def to_dict(self) -> dict[str, Any]:
        """Returns the manifest as `manifest.json` has it."""
        return {
            "format": MANIFEST_FORMAT,
            "kind": self.kind,
            "shard_format": self.format,
            "fingerprint": self.fingerprint,
            "records": self.records,
            "shards": [asdict(shard) for shard in self.shards],
        }


def read_manifest(folder: Path) -> Manifest | None:
    """Reads a folder's manifest.

    Returns:
        The manifest; `None` if the folder has no `manifest.json` of shards (one of another program is not read).

    Raises:
        InputError: if the manifest is broken, or a newer tfchain wrote it.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or "shard_format" not in found:
        return None
    if found.get("format") != MANIFEST_FORMAT:
        raise InputError(
            f"{path} has format {found.get('format')!r:.20}. Expected: {MANIFEST_FORMAT}. A newer tfchain wrote it: "
            "update tfchain, or prepare the set again."
        )
    try:
        return to_manifest(found)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is broken: {type(error).__name__} {error}. Expected what `tfchain.prepare` writes. Prepare the "
            "set again."
        ) from None


def to_manifest(found: Mapping[str, Any]) -> Manifest:
    """Makes a manifest of the content of its file; raises a KeyError, TypeError or ValueError if it is not one."""
    shards = tuple(Shard(**{name: shard[name] for name in Shard.__dataclass_fields__}) for shard in found["shards"])
    for shard in shards:
        if Path(shard.name).name != shard.name or not isinstance(shard.records, int):
            raise ValueError(f"a shard's name or number of records: {shard!r:.80}")
    if found["kind"] not in get_args(Kind) or found["shard_format"] not in get_args(ShardFormat):
        raise ValueError(f"kind={found['kind']!r:.20}, shard_format={found['shard_format']!r:.20}")
    return Manifest(found["kind"], found["shard_format"], str(found["fingerprint"]), shards)


def find_shards(folder: Path, manifest: Manifest) -> list[Path]:
    """Returns the paths of a set's files, in order.

    Raises:
        InputError: if one is missing, or has another size.
    """
    paths = [folder / shard.name for shard in manifest.shards]
    for path, shard in zip(paths, manifest.shards, strict=True):
        size = path.stat().st_size if path.is_file() else None
        if size != shard.bytes:
            raise InputError(
                f"{path} is not as {MANIFEST_NAME} says. Expected: {shard.bytes} bytes. Received: "
                f"{'no such file' if size is None else f'{size} bytes'}. Fetch the set again, or prepare it again."
            )
    return paths


def verify_shards(folder: Path, manifest: Manifest) -> list[Path]:
    """Returns the paths of a set's files, in order, after comparing their hashes.

    Raises:
        InputError: if a file is missing or was changed; the message names it.
    """
    paths = find_shards(folder, manifest)
    for path, shard in zip(paths, manifest.shards, strict=True):
        found = hash_file(path)
        if found != shard.sha256:
            raise InputError(
                f"{path} was changed after it was written: its SHA-256 is {found[:12]}…, {MANIFEST_NAME} has "
                f"{shard.sha256[:12]}…. Fetch the set again, or prepare it again."
            )
    return paths


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes (packed ones, for a `.gz`), in 64 hexadecimal digits."""
    open_path(path).close()  # raises the errors that readers raise
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
