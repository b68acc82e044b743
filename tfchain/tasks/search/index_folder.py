"""The folder of a saved chain: written in atomic steps, and read without ever seeing half a step.

    chain.json              the list of valid files, replaced in one step: this is the commit
    model-<fingerprint>/    tokenizer and encoder
    segment-000001/         documents.jsonl, counts.npy, vectors.npy of the documents that one save added; also
                            scales.npy for vectors in int8
    codebook-<fingerprint>/ mean.npy and matrix.npy: the meaning of the bits of binary vectors, if it was learned
    reranker-<fingerprint>/ the cross-encoder of a chain that has one

A save writes only changes: documents added since the last save become a new segment, and removed documents are listed
in chain.json. Files that a killed save leaves are not listed in chain.json, and the next save deletes them.
"""

import json
import shutil
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain import __version__
from tfchain.core.atomic import check_can_write, new_folder, remove_partials, write_json, writing
from tfchain.core.errors import IndexFolderError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.types import Document
from tfchain.models.indexes.binary_codebook import BinaryCodebook
from tfchain.models.indexes.exact import StoredVectors
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.text_encoder_model import identify_model
from tfchain.tasks.manifest import (
    FOLDER_PREFIXES,
    FORMAT,
    MANIFEST,
    advise,
    check_is_ours,
    check_task,
    locked,
    read_manifest,
)
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.search import new_index

if TYPE_CHECKING:  # listing and locking an index needs no TensorFlow
    from tfchain.models.text_encoder import TextEncoder

TASK = "search"


@dataclass
class IndexFolder:
    """The folder of a saved chain, and which of its documents are already there.

    Args:
        path: The folder.
        beside: The folders of other models that the chain's settings name, each with the function that writes it.
            Default: none.
    """

    path: Path
    commit: str = ""  # the id of this chain's last save here; saves of other chains have other ids
    segments: list[str] = field(default_factory=list)
    places: dict[str, tuple[Document, int, int]] = field(default_factory=dict)  # id → document, segment, row
    removed: list[tuple[int, int]] = field(default_factory=list)
    beside: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path = Path(self.path)  # accepts a string too

    def check(self) -> None:
        """Raises early the errors that `save` would raise, before any work is done.

        Raises:
            IndexFolderError: if the folder contains something else, or another process has written there meanwhile.
            TfchainError: if the folder cannot be made or written to.
        """
        check_is_ours(self.path)
        check_can_write(self.path)
        self._read_manifest()

    def save(self, text_encoder: "TextEncoder", index: DocumentIndex | None, settings: Mapping[str, Any]) -> None:
        """Saves a chain, and replaces any earlier one in one step.

        Args:
            text_encoder: Tokenizer and encoder.
            index: The documents and vectors; None if no documents were ever added.
            settings: The chain's plain values.

        Raises:
            IndexFolderError: if another process is writing there or has written there meanwhile, or the folder contains
                something else.
            TfchainError: if the disk is full.
        """
        index = new_index(text_encoder) if index is None else index.snapshot()
        check_is_ours(self.path)
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            remove_partials(self.path)
            manifest = self._read_manifest()
            model = f"model-{identify_model(text_encoder)[:16]}"
            if not (self.path / model).is_dir():
                with new_folder(self.path / model) as partial:
                    text_encoder.save(partial)
            for name, write in self.beside.items():
                if not (self.path / name).is_dir():
                    with new_folder(self.path / name) as partial:
                        write(partial)
            codebook = self._save_codebook(index)
            if not self._continues(manifest, index, codebook):
                self.segments, self.places, self.removed = [], {}, []
            commit = uuid.uuid4().hex
            self._note_removed(index)
            self._add_segment(index)
            write_json(
                self.path / MANIFEST,
                {
                    "format": FORMAT,
                    "task": TASK,
                    "tfchain": __version__,
                    "commit": commit,
                    "fingerprint": index.fingerprint,
                    "model": model,
                    "similarity": index.vectors.similarity,
                    "dim": index.vectors.dim,
                    "vectors": index.vectors.storage.to_dict(),
                    "codebook": codebook,
                    "documents": len(index),
                    "next_number": index.next_number,
                    "segments": self.segments,
                    "removed": self.removed,
                    "settings": dict(settings),
                },
            )
            self.commit = commit
            self._clear(model, codebook, *self.beside)

    def follow_purge(self) -> None:
        """Takes over where documents are after `purge_index` rewrote segments of this folder.

        Raises:
            IndexFolderError: if the folder cannot be read.
        """
        manifest = read_manifest(self.path)
        self.commit, self.segments = manifest["commit"], list(manifest["segments"])
        self.removed = [(segment, row) for segment, row in manifest["removed"]]
        gone, before = set(self.removed), self.places
        self.places = {}
        for number, name in enumerate(self.segments):
            for row, document in enumerate(read_segment_documents(self.path / name)):
                if (number, row) not in gone and document.id in before:
                    self.places[document.id] = (before[document.id][0], number, row)

    def _read_manifest(self) -> dict[str, Any] | None:
        manifest = read_manifest(self.path) if (self.path / MANIFEST).is_file() else None
        if manifest is not None:
            check_task(self.path, manifest, TASK)
        if manifest is not None and self.commit not in ("", manifest["commit"]):
            raise IndexFolderError(
                f"{self.path} was saved by another process since this chain was loaded from it or saved there. "
                "Nothing was written. Load it again and add your documents to it, or save to another folder."
            )
        return manifest

    def _save_codebook(self, index: DocumentIndex) -> str | None:
        book = index.vectors.codebook
        if book is None:
            return None
        name = f"codebook-{make_fingerprint({}, [('mean', book.mean), ('matrix', book.matrix)])[:16]}"
        if not (self.path / name).is_dir():
            with new_folder(self.path / name) as partial:
                np.save(partial / "mean.npy", book.mean)
                np.save(partial / "matrix.npy", book.matrix)
        return name

    def _continues(self, manifest: Mapping[str, Any] | None, index: DocumentIndex, codebook: str | None) -> bool:
        """Returns whether this save can extend the last: no other writer, the same model, most documents kept."""
        return (
            manifest is not None
            and manifest["commit"] == self.commit
            and manifest["fingerprint"] == index.fingerprint
            and manifest.get("codebook") == codebook
            and len(self.removed) <= len(self.places)
        )

    def _note_removed(self, index: DocumentIndex) -> None:
        for document_id, (document, segment, row) in list(self.places.items()):
            if index.get(document_id) is not document:  # removed, or replaced
                self.removed.append((segment, row))
                del self.places[document_id]

    def _add_segment(self, index: DocumentIndex) -> None:
        documents = list(index)
        rows = [row for row, document in enumerate(documents) if document.id not in self.places]
        if not rows:
            return
        added = [documents[row] for row in rows]
        last = max((int(path.name.removeprefix("segment-")) for path in self.path.glob("segment-??????")), default=0)
        name = f"segment-{last + 1:06d}"
        with new_folder(self.path / name) as partial:
            write_segment(partial, added, index.vectors.counts[rows], index.vectors.take(rows))
        self.segments.append(name)
        for row, document in enumerate(added):
            self.places[document.id] = (document, len(self.segments) - 1, row)

    def _clear(self, *names: str | None) -> None:
        valid = {*names, *self.segments}
        for found in self.path.iterdir():
            if found.name.startswith(FOLDER_PREFIXES) and found.name not in valid:
                shutil.rmtree(found, ignore_errors=True)


def write_segment(folder: Path, documents: Sequence[Document], counts: np.ndarray, stored: StoredVectors) -> None:
    """Writes the files of a segment into a folder.

    Args:
        folder: The segment's folder.
        documents: The documents.
        counts: The number of vectors of each document, int64 `(documents,)`.
        stored: The vectors as the index stores them, document by document.
    """
    with open(folder / "documents.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(document), ensure_ascii=False) + "\n" for document in documents)
    np.save(folder / "counts.npy", counts)
    np.save(folder / "vectors.npy", stored.values)
    if stored.scales is not None:
        np.save(folder / "scales.npy", stored.scales)


def add_segments(
    manifest: Mapping[str, Any], segments: Sequence[str], *, documents: int, next_number: int
) -> dict[str, Any]:
    """Returns the manifest of a saved chain with segments that other processes have written with its model.

    Args:
        manifest: The manifest of the chain, saved without documents.
        segments: The names of the segments' folders, in the order of their documents.
        documents: The number of their documents.
        next_number: The number that becomes the id of the next document without one.

    Raises:
        IndexFolderError: if the chain has documents.
    """
    if manifest["segments"]:
        raise IndexFolderError(
            "Segments can be added to a chain without documents. Received: one with "
            f"{manifest['documents']} documents. Save a new chain with the same model."
        )
    return {
        **manifest,
        "commit": uuid.uuid4().hex,
        "segments": list(segments),
        "documents": documents,
        "next_number": next_number,
    }


@dataclass(frozen=True)
class LoadedFolder:
    """The content of a chain's folder.

    Args:
        folder: The folder, ready for further saves.
        model_path: The folder of tokenizer and encoder.
        index: Documents and vectors.
        settings: The chain's plain values.
        advice: What to do if the settings cannot be read.
    """

    folder: IndexFolder
    model_path: Path
    index: DocumentIndex
    settings: dict[str, Any]
    advice: str


def load_index_folder(path: str | Path) -> LoadedFolder:
    """Reads the last complete save.

    Args:
        path: The folder.

    Raises:
        IndexFolderError: if there is no saved chain, or a file is damaged.
    """
    path = Path(path)
    manifest = read_manifest(path)
    check_task(path, manifest, TASK)
    for _ in range(3):
        try:
            return _load(path, manifest)
        except IndexFolderError:
            again = read_manifest(path)
            if again["commit"] == manifest["commit"]:
                raise
            manifest = again  # another process saved a newer chain and deleted the old files
    return _load(path, manifest)


def _load(path: Path, manifest: Mapping[str, Any]) -> LoadedFolder:
    try:
        loaded = _read(path, manifest)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise IndexFolderError(f"{path} is damaged: {type(error).__name__}: {error}. {advise(manifest)}") from error
    if not loaded.model_path.is_dir():
        raise IndexFolderError(f"{path} lacks its model, {loaded.model_path.name}. Index the documents again.")
    return loaded


def _read(path: Path, manifest: Mapping[str, Any]) -> LoadedFolder:
    folder = IndexFolder(path, manifest["commit"], list(manifest["segments"]))
    folder.removed = [(segment, row) for segment, row in manifest["removed"]]
    storage = VectorStorage.from_dict(manifest.get("vectors"))
    codebook = _read_codebook(path, manifest.get("codebook"), manifest["dim"])
    index = DocumentIndex(manifest["dim"], manifest["fingerprint"], manifest["similarity"], storage, codebook)
    removed = set(folder.removed)
    for number, name in enumerate(folder.segments):
        documents, counts, vectors = read_segment(path / name)
        kept = [row for row in range(len(documents)) if (number, row) not in removed]
        if len(kept) != len(documents):
            vectors = vectors[np.repeat(np.isin(np.arange(len(documents)), kept), counts)]
        added = [documents[row] for row in kept]
        index.add(added, counts[kept].tolist(), vectors, fingerprint=index.fingerprint)
        folder.places.update((documents[row].id, (documents[row], number, row)) for row in kept)
    index.next_number = manifest["next_number"]
    if len(index) != manifest["documents"]:
        raise IndexFolderError(f"{path} lacks documents: {len(index)} of {manifest['documents']}. Index them again.")
    return LoadedFolder(folder, path / manifest["model"], index, dict(manifest["settings"]), advise(manifest))


def _read_codebook(path: Path, name: str | None, dim: int) -> BinaryCodebook | None:
    if name is None:
        return None
    try:
        mean, matrix = np.load(path / name / "mean.npy"), np.load(path / name / "matrix.npy")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise IndexFolderError(f"{path / name} cannot be read: {error}. Index the documents again.") from error
    fits = mean.shape == (dim,) and matrix.shape == (dim, dim) and mean.dtype == matrix.dtype == np.float32
    if not fits or not np.isfinite(mean).all() or not np.isfinite(matrix).all():
        raise IndexFolderError(
            f"{path / name} is damaged: expected a mean of {dim} numbers and a matrix of {dim} x {dim}, finite and in "
            f"float32. Received: shapes {mean.shape} and {matrix.shape}, {mean.dtype} and {matrix.dtype}. Index the "
            "documents again."
        )
    return BinaryCodebook(mean, matrix)


def read_segment_documents(path: Path) -> list[Document]:
    """Reads a segment's documents, without its vectors."""
    try:
        with open(path / "documents.jsonl", encoding="utf-8") as file:
            return [Document(**json.loads(line)) for line in file]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise IndexFolderError(f"{path} cannot be read: {error}. Index the documents again.") from error


def read_segment(path: Path) -> tuple[Sequence[Document], np.ndarray, StoredVectors]:
    """Reads a segment's documents, their numbers of passages, and the passages' vectors."""
    documents = read_segment_documents(path)
    try:
        counts, values = np.load(path / "counts.npy"), np.load(path / "vectors.npy")
        scales = np.load(path / "scales.npy") if (path / "scales.npy").is_file() else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise IndexFolderError(f"{path} cannot be read: {error}. Index the documents again.") from error
    fits = counts.ndim == 1 and values.ndim == 2 and np.issubdtype(counts.dtype, np.integer)
    fits = fits and (scales is None or scales.shape == (len(values),))
    if not fits or len(documents) != len(counts) or counts.sum() != len(values):
        raise IndexFolderError(f"{path} is damaged: its files do not belong together. Index the documents again.")
    return documents, counts, StoredVectors(values, scales)
