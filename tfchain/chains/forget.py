"""A request for deletion: removes documents from every place on disk that it is given, with a receipt."""

import hashlib
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from tfchain.core.atomic import PARTIAL_PREFIX, write_json
from tfchain.core.errors import InputError
from tfchain.core.ids import to_ids
from tfchain.core.types import Document
from tfchain.data.files.paths import to_path
from tfchain.data.forgetting.files import forget_in_file, is_record_file
from tfchain.data.forgetting.target import Target
from tfchain.data.preparation.forget_set import forget_in_set, is_prepared_set
from tfchain.data.preparation.work_folder import WORK_PREFIX
from tfchain.data.streams.token_cache import is_token_cache
from tfchain.deployment.version_strings import version_holds
from tfchain.tasks.manifest import MANIFEST, read_manifest
from tfchain.tasks.search.index_folder import TASK as SEARCH
from tfchain.tasks.search.index_folder import read_segment_documents
from tfchain.tasks.search.index_purge import purge_index

Versions = Literal["report", "delete"]


@dataclass
class ForgetReceipt:
    """What a request for deletion did, without anything that was to be forgotten.

    Args:
        request: A number of its own for each request.
        time: When it ended, in UTC, ISO 8601.
        id_hashes: SHA-256 of each id, so that a later question "was X forgotten?" can be answered.
        places: For each file or folder that held something: `path`, `kind` (`index`, `prepared`, `records`, `cache`,
            `version`) and `removed`, the number of documents or records; a cache is deleted whole.
        remaining: What still holds a document, and what to do: `path` and `advice`.
    """

    request: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: str = ""
    id_hashes: list[str] = field(default_factory=list)
    places: list[dict[str, Any]] = field(default_factory=list)
    remaining: list[dict[str, str]] = field(default_factory=list)

    @property
    def removed(self) -> int:
        """The number of documents and records that were removed, over all places."""
        return sum(place["removed"] for place in self.places)

    def to_dict(self) -> dict[str, Any]:
        """Returns the receipt as plain values."""
        return {
            "request": self.request,
            "time": self.time,
            "id_hashes": self.id_hashes,
            "removed": self.removed,
            "places": self.places,
            "remaining": self.remaining,
        }

    def write(self, path: Path | str) -> Path:
        """Writes the receipt as JSON."""
        return write_json(path, self.to_dict())


def forget(
    ids: str | int | Iterable[str | int],
    paths: str | Path | Sequence[str | Path],
    *,
    texts: Iterable[str] = (),
    versions: Versions = "report",
) -> ForgetReceipt:
    """Removes documents from saved chains, prepared data, other files of records, logs, and exported versions.

    A document is found by its id (also in its parts, `id#3`), and by its text, which is read from the saved chains
    among the paths: so rows to train on that were made of it are found, too. Each file is replaced in one step. A
    request that is interrupted can be made again.

    What it cannot reach: backups, snapshots and blocks of the disk that the system has not yet written over; processes
    that hold a chain in memory (a loaded chain forgets with `chain.forget`); weights that were trained on the text.

    Args:
        ids: The documents' ids.
        paths: Saved chains, prepared sets, caches of token ids, folders and files of records (.json, .jsonl, .csv,
            .tsv, .parquet, .tfrecord), and base paths of versions. Folders are searched through.
        texts: Texts of the documents, if no saved chain holds them any more. Default: none.
        versions: What to do with exported versions that hold one of the documents. `report` names them in the receipt,
            `delete` deletes them: export a new one first, since a server needs one to load. Default: `report`.

    Returns:
        The receipt.

    Raises:
        InputError: if a path does not exist, or a file of records is broken; the files before it are changed already.
        IndexFolderError: if a saved chain is damaged, or another process is writing there.
    """
    if versions not in get_args(Versions):
        raise InputError(f"`versions` must be 'report' or 'delete'. Received: versions={versions!r}.")
    wanted = to_ids(ids)
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    roots = [to_path(path) for path in given]
    for root in roots:
        if not root.exists():
            raise InputError(f"No such file or folder: {root}. Nothing was removed. Check the path.")
    target = Target(frozenset(wanted), frozenset(text.strip() for text in texts if text.strip()))
    places = [place for root in roots for place in find_places(root)]
    target = target.with_documents(
        document
        for kind, path in places
        if kind == "index"
        for document in indexed_documents(path)
        if target.names(document.id)
    )
    receipt = ForgetReceipt(id_hashes=[hashlib.sha256(id.encode()).hexdigest() for id in wanted])
    for kind, path in places:
        forget_in_place(kind, path, target, versions, receipt)
    receipt.time = datetime.now(UTC).isoformat(timespec="seconds")
    return receipt


def find_places(path: Path) -> list[tuple[str, Path]]:
    """Returns the saved chains, versions and files of records at a path, each with its kind."""
    if path.is_file():
        return [("records", path)]
    if (path / MANIFEST).is_file():
        if read_manifest(path).get("task", SEARCH) == SEARCH:
            return [("index", path)]
        inside = [inner for inner in sorted(path.iterdir()) if (inner / MANIFEST).is_file()]  # a retriever's documents
        return [("chain", path), *(place for inner in inside for place in find_places(inner))]
    if (path / "saved_model.pb").is_file():
        return [("version", path)]
    if is_token_cache(path):
        return [("cache", path)]
    if is_prepared_set(path):
        return [("prepared", path)]
    found: list[tuple[str, Path]] = []
    for inner in sorted(path.iterdir()):
        if inner.is_symlink():
            continue
        if inner.name.startswith((PARTIAL_PREFIX, WORK_PREFIX)):
            found.append(("unfinished", inner))
        elif inner.is_dir():
            found += find_places(inner)
        elif is_record_file(inner):
            found.append(("records", inner))
    return found


def indexed_documents(path: Path) -> Iterable[Document]:
    """Yields all documents in the files of a saved chain, also those that were removed."""
    for name in read_manifest(path).get("segments", ()):
        yield from read_segment_documents(path / name)


def forget_in_place(kind: str, path: Path, target: Target, versions: Versions, receipt: ForgetReceipt) -> None:
    """Removes the documents from one place, and notes it in the receipt."""
    if kind == "index":
        removed = len(purge_index(path, lambda document: target.names(document.id)).documents)
    elif kind == "records":
        removed = forget_in_file(path, target)
    elif kind == "prepared":
        removed = forget_in_set(path, target)
    elif kind == "cache":  # token ids are the text, and nothing tells whose: the next use makes the cache anew
        shutil.rmtree(path)
        removed = 1
    elif kind == "unfinished":
        advice = "It was left by a process that was killed, or one still writes it. Let it end, or delete the path."
        receipt.remaining.append({"path": str(path), "advice": advice})
        return
    elif kind == "chain":
        if target.matches(read_manifest(path)):
            advice = "It keeps texts that it was trained on. Train it anew without them, or delete it."
            receipt.remaining.append({"path": str(path), "advice": advice})
        return
    else:
        removed = int(version_holds(path, lambda text: text in target.ids or target.holds_text(text)))
        if removed and versions == "report":
            receipt.remaining.append(
                {"path": str(path), "advice": "Export a new version, then delete this one, or pass versions='delete'."}
            )
            return
        if removed:
            shutil.rmtree(path)
    if removed:
        receipt.places.append({"path": str(path), "kind": kind, "removed": removed})
