"""Removes records from a prepared set, and keeps its manifest and card true."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from tfchain.core.atomic import sync_folder, write_file, write_json
from tfchain.core.errors import InputError
from tfchain.data.files.shard_manifest import MANIFEST_NAME, Manifest, Shard, hash_file, read_manifest
from tfchain.data.forgetting.files import forget_in_file
from tfchain.data.forgetting.target import Target
from tfchain.data.shards.files import COUNTS_FORMAT, COUNTS_NAME

MARK = ".forgetting"  # stands in the folder while files and manifest may differ
OTHER_FILES = ("*.jsonl", "report.json")  # beside the shards: the side file, and the report with its examples


def is_prepared_set(folder: Path) -> bool:
    """Returns whether a folder is a prepared set."""
    return folder.is_dir() and read_manifest(folder) is not None


def forget_in_set(folder: Path, target: Target) -> int:
    """Removes the records of a prepared set that come from the documents to forget.

    The shards that hold one are replaced, then manifest and card get their new counts and hashes, and the set a new
    fingerprint. If the process is killed in between, the next call puts manifest and card right.

    Args:
        folder: What `prepare` wrote.
        target: The documents.

    Returns:
        How many records were removed, over the shards, the side file and the report's examples.

    Raises:
        InputError: if the folder is not a prepared set, or a file is missing or broken.
        TfchainError: if the disk is full.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(f"Expected a folder that `tfchain.prepare` wrote. Received: {folder}, without its manifest.")
    mark = folder / MARK
    was_killed = mark.exists()
    write_file(mark, "Files are being rewritten. Call forget again if no process does so.\n")
    shards: list[Shard] = []
    removed_records = 0
    for shard in manifest.shards:
        removed = forget_in_file(folder / shard.name, target)
        removed_records += removed
        shards.append(describe(folder / shard.name, shard) if removed or was_killed else shard)
    others = {path for pattern in OTHER_FILES for path in folder.glob(pattern)} - {
        folder / shard.name for shard in shards
    }
    removed_others = sum(forget_in_file(path, target) for path in sorted(others))
    if shards != list(manifest.shards):
        write_descriptions(folder, manifest, tuple(shards))
    mark.unlink()
    sync_folder(folder)
    return removed_records + removed_others


def describe(path: Path, shard: Shard) -> Shard:
    """Returns the description of a shard as its file is now."""
    digest = hash_file(path)
    records = shard.records if digest == shard.sha256 else count_records(path)
    return Shard(shard.name, records, path.stat().st_size, digest)


def count_records(path: Path) -> int:
    """Returns how many records a shard holds."""
    if path.suffix == ".jsonl":
        with path.open("rb") as file:
            return sum(1 for line in file if line.strip())
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return int(parquet.read_metadata(path).num_rows)
    import tensorflow as tf

    return sum(1 for _ in tf.data.TFRecordDataset(str(path)))


def write_descriptions(folder: Path, old: Manifest, shards: tuple[Shard, ...]) -> None:
    """Writes manifest, counts and card for shards that have changed."""
    parts = [old.fingerprint, *(shard.sha256 for shard in shards)]
    new = replace(old, shards=shards, fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest())
    if (folder / COUNTS_NAME).is_file():
        write_json(
            folder / COUNTS_NAME, {"format": COUNTS_FORMAT, "rows": {shard.name: shard.records for shard in shards}}
        )
    card = folder / "card.json"
    if card.is_file():
        values = json.loads(card.read_text(encoding="utf-8"))
        forgotten = values.get("forgotten", 0) + old.records - new.records
        write_json(card, {**values, "fingerprint": new.fingerprint, "records": new.records, "forgotten": forgotten})
    page = folder / "README.md"
    if page.is_file():
        text = page.read_text(encoding="utf-8").replace(old.fingerprint, new.fingerprint)
        write_file(page, text.replace(f"| {old.records:,} of ", f"| {new.records:,} of "))
    write_json(folder / MANIFEST_NAME, new.to_dict())
