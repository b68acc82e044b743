"""Removes documents from the files of a saved chain, not only from its list of valid documents."""

import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.atomic import new_folder, remove_partials, write_json
from tfchain.core.types import Document
from tfchain.tasks.manifest import FOLDER_PREFIXES, MANIFEST, check_task, locked, read_manifest
from tfchain.tasks.search.index_folder import TASK, read_segment, read_segment_documents


@dataclass
class PurgedIndex:
    """What `purge_index` did.

    Args:
        documents: The documents that were in the files, also those removed or replaced before.
        segments: How many segments were rewritten.
        commit: The id of the folder's last save.
    """

    documents: list[Document] = field(default_factory=list)
    segments: int = 0
    commit: str = ""


def purge_index(path: Path | str, wanted: Callable[[Document], bool]) -> PurgedIndex:
    """Removes documents from the files of a saved chain.

    `chain.remove` and `chain.save` only list a document as removed; its text and vectors stay in its segment until most
    of the index is written anew. This rewrites the segments that hold it, and needs no model. Readers see the folder
    before or after, never in between.

    Args:
        path: The folder of a saved search chain.
        wanted: Returns whether to remove a document.

    Returns:
        What was removed.

    Raises:
        IndexFolderError: if there is no saved search chain, a file is damaged, or another process is writing there.
        TfchainError: if the disk is full; the folder then stays as it is.
    """
    path = Path(path)
    check_task(path, read_manifest(path), TASK)
    with locked(path):
        manifest = read_manifest(path)
        remove_partials(path)
        clear_unlisted(path, manifest)
        purged = PurgedIndex(commit=manifest["commit"])
        segments: list[str] = []
        removed: list[tuple[int, int]] = []
        kept_documents = 0
        for number, name in enumerate(manifest["segments"]):
            gone = {row for segment, row in manifest["removed"] if segment == number}
            documents = read_segment_documents(path / name)
            found = [document for document in documents if wanted(document)]
            purged.documents += found
            if found:
                purged.segments += 1
                rows = [row for row, one in enumerate(documents) if row not in gone and not wanted(one)]
                gone = set()
                name = rewrite_segment(path, name, rows) if rows else ""
                kept_documents += len(rows)
            else:
                kept_documents += len(documents) - len(gone)
            if name:
                removed += [(len(segments), row) for row in sorted(gone)]
                segments.append(name)
        if purged.segments:
            purged.commit = uuid.uuid4().hex
            changed = {"commit": purged.commit, "segments": segments, "removed": removed, "documents": kept_documents}
            write_json(path / MANIFEST, {**manifest, **changed})
            clear_unlisted(path, {**manifest, **changed})
    return purged


def rewrite_segment(path: Path, name: str, rows: list[int]) -> str:
    """Writes some of a segment's documents as a new segment, and returns its name."""
    documents, counts, stored = read_segment(path / name)
    kept = np.repeat(np.isin(np.arange(len(documents)), rows), counts)
    last = max(int(found.name.removeprefix("segment-")) for found in path.glob("segment-??????"))
    made = f"segment-{last + 1:06d}"
    with new_folder(path / made) as partial:
        with open(path / name / "documents.jsonl", "rb") as old, open(partial / "documents.jsonl", "wb") as new:
            wanted = set(rows)
            new.writelines(line for row, line in enumerate(old) if row in wanted)
        np.save(partial / "counts.npy", counts[rows])
        np.save(partial / "vectors.npy", stored.values[kept])
        if stored.scales is not None:
            np.save(partial / "scales.npy", stored.scales[kept])
    return made


def clear_unlisted(path: Path, manifest: dict[str, Any]) -> None:
    """Deletes the folders that the manifest does not list, such as those of a killed save."""
    reranker = manifest["settings"].get("reranker") or {}
    valid = {manifest["model"], manifest.get("codebook"), reranker.get("folder"), *manifest["segments"]}
    for found in path.iterdir():
        if found.name.startswith(FOLDER_PREFIXES) and found.name not in valid:
            shutil.rmtree(found)
