"""The folder of a saved recommendation chain: `chain.json`, the model's folder, and the catalogue in a segment."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import IndexFolderError, first_line
from tfchain.data.interactions.tables import Table
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.tasks.recommendation.catalogue import Catalogue, KnownVectors
from tfchain.tasks.state_folder import SEGMENT, Segment, StateFolder

TABLES, ARRAYS = "tables.json", "catalogue.safetensors"


@dataclass
class CatalogueFolder:
    """The folder of a saved chain with a catalogue; see `core.task.Folder`.

    Args:
        path: The folder.
        task: The task's name.
        commit: The id of this chain's last save here; empty before the first.
    """

    path: Path
    task: str
    commit: str = ""

    def __post_init__(self) -> None:
        self._name: str | None = None
        self._folder = StateFolder(self.path, self.task, lambda state: self._name, self.commit)

    def check(self) -> None:
        """Raises early the errors that `save` would raise, before any work is done."""
        self._folder.check()

    def save(self, model: RecommendationModel, state: Catalogue | None, settings: Mapping[str, Any]) -> None:
        """Saves a chain, and replaces any earlier one in one step: the segment is written first, the manifest last.

        Raises:
            IndexFolderError: if another process is writing there, or the folder contains something else.
            TfchainError: if the disk is full.
        """
        self._name, segment = None, None
        if state is not None:
            written = dataclasses.replace(state, known=state.known.snapshot())
            with_vectors = written.known.fingerprint == model.fingerprint and written.known.vectors is not None
            name = f"{state.fingerprint[:16]}-{model.fingerprint[:8] if with_vectors else 'none'}"
            self._name = f"{SEGMENT}{name}"
            segment = Segment(name, lambda folder: write_catalogue(written, folder, with_vectors=with_vectors))
        self._folder.save(model, state, settings, segment=segment)  # type: ignore[arg-type]


def write_catalogue(catalogue: Catalogue, folder: Path, *, with_vectors: bool) -> None:
    """Writes a catalogue to an empty folder."""
    from safetensors.numpy import save_file

    tables = {"items": catalogue.items.to_plain(), "users": catalogue.users.to_plain()}
    if with_vectors:
        tables["vectors"] = {"fingerprint": catalogue.known.fingerprint}
    (folder / TABLES).write_text(json.dumps(tables, ensure_ascii=False), encoding="utf-8")
    arrays = {"popularity": catalogue.popularity, "starts": catalogue.starts, "taken": catalogue.taken}
    if with_vectors and catalogue.known.vectors is not None:
        arrays["vectors"] = catalogue.known.vectors
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)


def read_catalogue(folder: Path) -> Catalogue:
    """Reads what `write_catalogue` wrote.

    Raises:
        IndexFolderError: if a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tables = json.loads((folder / TABLES).read_text(encoding="utf-8"))
        arrays = load_file(folder / ARRAYS)
        known = KnownVectors()
        if "vectors" in tables:
            known = KnownVectors(tables["vectors"]["fingerprint"], arrays["vectors"])
        return Catalogue(
            Table.from_plain(tables["items"]),
            Table.from_plain(tables["users"]),
            arrays["popularity"],
            arrays["starts"],
            arrays["taken"],
            known,
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise IndexFolderError(f"{folder} is damaged: {first_line(error)}. Save the chain there again.") from error
