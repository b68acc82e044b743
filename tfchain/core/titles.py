"""The titles of a version's documents in files, read by id, so that a server holds little of them.

In `assets.extra/tfchain_titles/` of a version of which a document has a title:

    titles          each document's title in UTF-8, in the order of the search's rows (`StringFile`); empty for none
    ids.npy, id_rows.npy    the documents by their ids (`IdTable`)
"""

from collections.abc import Sequence
from pathlib import Path

from tfchain.core.errors import ModelFolderError
from tfchain.core.id_table import IdTable, make_id_files
from tfchain.core.string_file import StringFile, join_strings

TITLES_FOLDER = "assets.extra/tfchain_titles"  # in a version's folder


def make_title_files(ids: Sequence[str], titles: Sequence[str]) -> dict[str, bytes]:
    """Returns the files of documents' titles, name → content; none if no document has a title.

    Args:
        ids: The documents' ids.
        titles: Their titles; `""` for none.
    """
    if not any(titles):
        return {}
    files = make_id_files(ids) | join_strings("titles", [title.encode("utf-8", "replace") for title in titles])
    return {f"{TITLES_FOLDER}/{name}": content for name, content in files.items()}


class TitleFiles:
    """What `make_title_files` made, read as it is asked for. Threads may share it.

    Args:
        path: The version's folder.

    Raises:
        ModelFolderError: if a file is missing, or they do not belong together.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / TITLES_FOLDER
        self._ids, self._titles = IdTable(self.path), StringFile(self.path / "titles")
        if len(self._ids) != len(self._titles):
            raise self._make_error("its files do not belong together")

    def find(self, ids: Sequence[str]) -> list[str]:
        """Returns the titles of documents; `""` for those that have none.

        Raises:
            ModelFolderError: if a document is not there, or a file is damaged.
        """
        try:
            return [title.decode() for title in self._titles.take(self._ids.find(ids))]
        except (ValueError, IndexError) as error:
            raise self._make_error(str(error)) from error

    def _make_error(self, reason: str) -> ModelFolderError:
        return ModelFolderError(f"{self.path} cannot be read: {reason}. Export the version again.")
