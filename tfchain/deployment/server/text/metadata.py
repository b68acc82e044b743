"""Which documents of a version a filter lets through, and the metadata of hits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.filters.columns import MetadataColumns
from tfchain.core.filters.files import MetadataFiles
from tfchain.core.filters.filter import Filter, FilterMasks
from tfchain.deployment.server.text.errors import FieldError
from tfchain.deployment.server.text.text_model import TextModel

HAS_METADATA = "has_metadata"  # in a version's description: whether a document has metadata


class VersionMetadata:
    """The metadata of a version's documents.

    Args:
        files: The version's files.
    """

    def __init__(self, files: MetadataFiles) -> None:
        self._files = files
        self._masks = FilterMasks(files)

    def match(self, asked: Filter) -> np.ndarray:
        """Returns which documents a filter lets through, booleans `(documents,)`."""
        return self._masks.find(asked)

    def find(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Returns the metadata of documents by their ids."""
        return self._files.find(ids)


def open_metadata(path: Path) -> VersionMetadata:
    """Opens the metadata in a version's folder.

    Raises:
        ModelFolderError: if the files are damaged.
    """
    return VersionMetadata(MetadataFiles(path))


def lets_all_through(model: TextModel, asked: Filter) -> bool:
    """Returns whether a filter lets all documents of a version through, none of which has metadata; else it lets none.

    Raises:
        FieldError: if the version may have been exported without the metadata that its documents had.
    """
    if model.description.get(HAS_METADATA) is not False:
        raise FieldError(
            f"`filter` needs the documents' metadata, which version {model.lease.version} of {model.lease.name} lacks: "
            "an older tfchain exported it. Export it again.",
            "filter",
        )
    return bool(asked.find(MetadataColumns([{}]))[0])
