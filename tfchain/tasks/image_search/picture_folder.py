"""The folder of a saved image search: `chain.json`, the model's folder, and a folder of pictures.

In `pictures-<hash>/`:

    documents.jsonl    ids, captions and metadata, a line each
    vectors.npy        float32 `(pictures, dim)`
    thumbnails, inputs  a small JPEG and the model's input as a PNG of each (`StringFile`); empty where one is not kept
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.atomic import new_folder, writing
from tfchain.core.errors import IndexFolderError, TfchainError
from tfchain.core.string_file import StringFile, write_strings
from tfchain.core.types import Document
from tfchain.models.images.image_text_model import ImageTextModel
from tfchain.tasks.image_search.picture_index import PictureIndex
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.state_folder import StateFolder, load_state_folder

PICTURES = "pictures-"
_FILES = ("thumbnails", "inputs")


@dataclass
class PictureFolder:
    """The folder of a saved image search.

    Args:
        path: The folder.
        task: The task's name.
        commit: The id of this chain's last save here; empty before the first.
    """

    path: Path
    task: str
    commit: str = ""

    def check(self) -> None:
        """Raises early the errors that `save` would raise; see `StateFolder`."""
        self._make_folder(None).check()

    def save(self, model: ImageTextModel, state: PictureIndex | None, settings: Mapping[str, Any]) -> None:
        """Saves a chain, and replaces any earlier one in one step.

        Raises:
            IndexFolderError: if another process is writing there or has written there meanwhile, or the folder contains
                something else.
            TfchainError: if the disk is full.
        """
        self.check()
        name = None
        if state is not None:
            name = f"{PICTURES}{_hash(state)[:16]}"
            with writing(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / name).is_dir():
                with new_folder(self.path / name) as partial, writing(partial):
                    _write(partial, state)
        folder = self._make_folder(name)
        saved: Any = model  # with `save` and `fingerprint`, all that it asks for
        folder.save(saved, state, settings)
        self.commit = folder.commit
        for found in self.path.glob(f"{PICTURES}*"):
            if found.name != name:
                shutil.rmtree(found, ignore_errors=True)

    def _make_folder(self, name: str | None) -> StateFolder:
        return StateFolder(self.path, self.task, lambda _: None if name is None else {"pictures": name}, self.commit)


@dataclass(frozen=True)
class LoadedPictures:
    """The content of a saved image search.

    Args:
        folder: The folder, to save to again.
        model_path: The folder of the model.
        state: The pictures; None if none were added.
        settings: The chain's plain values.
    """

    folder: PictureFolder
    model_path: Path
    state: PictureIndex | None
    settings: dict[str, Any]


def load_picture_folder(path: str | Path, task: str) -> LoadedPictures:
    """Reads the last complete save.

    Raises:
        IndexFolderError: if there is no saved chain, it belongs to another task, or it is damaged.
    """
    path = Path(path)
    loaded = load_state_folder(path, task)
    state = None
    if loaded.state is not None:
        try:
            state = _read(path / Path(loaded.state["pictures"]).name)
        except (OSError, KeyError, TypeError, ValueError, EOFError, TfchainError) as error:
            raise IndexFolderError(
                f"{path} is damaged: {type(error).__name__}: {error}. Add the pictures again."
            ) from error
    return LoadedPictures(PictureFolder(path, task, loaded.commit), loaded.model_path, state, loaded.settings)


def _write(folder: Path, state: PictureIndex) -> None:
    documents = list(state.index)
    lines = [
        json.dumps({"id": document.id, "text": document.text, "metadata": dict(document.metadata)}, ensure_ascii=False)
        for document in documents
    ]
    (folder / "documents.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    np.save(folder / "vectors.npy", _list_vectors(state))
    for name in _FILES:
        contents: Mapping[str, bytes] = getattr(state, name)
        write_strings(folder / name, (contents.get(document.id, b"") for document in documents))
    values = {"fingerprint": state.fingerprint, "next_number": state.index.next_number}
    (folder / "index.json").write_text(json.dumps(values), encoding="utf-8")


def _read(folder: Path) -> PictureIndex:
    values = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    with open(folder / "documents.jsonl", encoding="utf-8") as file:  # `splitlines` would split at U+2028, too
        documents = [Document(**json.loads(line)) for line in file]
    vectors = np.load(folder / "vectors.npy")
    files = {name: StringFile(folder / name) for name in _FILES}
    if any(len(file) != len(documents) for file in files.values()):
        raise ValueError("its files do not belong together")
    index = DocumentIndex(vectors.shape[1], values["fingerprint"])
    index.add(documents, [1] * len(documents), vectors, fingerprint=index.fingerprint)
    index.next_number = values["next_number"]
    rows = range(len(documents))
    contents = {
        name: {document.id: content for document, content in zip(documents, file.take(rows), strict=True) if content}
        for name, file in files.items()
    }
    return PictureIndex(index, contents["thumbnails"], contents["inputs"])


def _list_vectors(state: PictureIndex) -> np.ndarray:
    """Returns the vectors in the documents' order, float32 `(pictures, dim)`."""
    vectors = state.index.vectors.copy()
    vectors.compact()
    return np.asarray(vectors.stored.values, np.float32)


def _hash(state: PictureIndex) -> str:
    digest = hashlib.sha256(f"{state.fingerprint} {state.index.next_number}".encode())
    for document in state.index:
        digest.update(repr((document.id, document.text, sorted(document.metadata.items(), key=str))).encode())
        digest.update(state.thumbnails.get(document.id, b""))
        digest.update(state.inputs.get(document.id, b""))
    return digest.hexdigest()
