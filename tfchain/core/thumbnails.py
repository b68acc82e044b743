"""The thumbnails of a version's pictures in files, read by id, so that a server holds few of them.

In `assets.extra/tfchain_thumbnails/` of a version with pictures:

    thumbnails              each picture's JPEG, in the order of the search's rows (`StringFile`); empty for none
    ids.npy, id_rows.npy    the pictures by their ids (`IdTable`)
"""

from collections.abc import Sequence
from pathlib import Path

from tfchain.core.errors import ModelFolderError
from tfchain.core.id_table import IdTable, make_id_files
from tfchain.core.string_file import StringFile, join_strings

THUMBNAILS_FOLDER = "assets.extra/tfchain_thumbnails"  # in a version's folder
THUMBNAIL_TYPE = "image/jpeg"
_JPEG = b"\xff\xd8\xff"


def make_thumbnail_files(ids: Sequence[str], thumbnails: Sequence[bytes]) -> dict[str, bytes]:
    """Returns the files of pictures' thumbnails, name → content; none if no picture has one.

    Args:
        ids: The pictures' ids.
        thumbnails: Their JPEGs; empty for none.
    """
    if not any(thumbnails):
        return {}
    files = make_id_files(ids) | join_strings("thumbnails", thumbnails)
    return {f"{THUMBNAILS_FOLDER}/{name}": content for name, content in files.items()}


class ThumbnailFiles:
    """What `make_thumbnail_files` made, read as it is asked for. Threads may share it.

    Args:
        path: The version's folder.

    Raises:
        ModelFolderError: if a file is missing, or they do not belong together.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / THUMBNAILS_FOLDER
        self._ids, self._thumbnails = IdTable(self.path), StringFile(self.path / "thumbnails")
        if len(self._ids) != len(self._thumbnails):
            raise ModelFolderError(
                f"{self.path} cannot be read: its files do not belong together. Export the version again."
            )

    def find(self, picture_id: str) -> bytes | None:
        """Returns the thumbnail of a picture; None if it has none, or there is no such picture."""
        try:
            content = self._thumbnails.take(self._ids.find([picture_id]))[0]
        except (ModelFolderError, ValueError, IndexError):
            return None
        return content if content.startswith(_JPEG) else None
