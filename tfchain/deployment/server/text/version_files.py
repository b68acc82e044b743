"""What a version holds beside its model, opened when a request first needs it."""

import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from tfchain.core.errors import ModelFolderError
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import Code, StatusError
from tfchain.deployment.server.text.text_model import TextModel

FilesT = TypeVar("FilesT")


class VersionFiles(Generic[FilesT]):
    """One folder of each version that is loaded, opened when a request first needs it. Threads may share it.

    Args:
        folder: The folder in a version's folder.
        open_files: Opens it, given the version's folder; raises ModelFolderError if it is damaged.
    """

    def __init__(self, folder: str, open_files: Callable[[Path], FilesT]) -> None:
        self._folder = folder
        self._open_files = open_files
        self._opened: weakref.WeakKeyDictionary[Servable, FilesT] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def find(self, model: TextModel) -> FilesT | None:
        """Returns what a version has in the folder; None if it has no such folder.

        Raises:
            StatusError: INTERNAL if the files are damaged.
        """
        with self._lock:
            found = self._opened.get(model.lease.servable)
            if found is None and (model.lease.path / self._folder).is_dir():
                try:
                    found = self._open_files(model.lease.path)
                except ModelFolderError as error:
                    raise StatusError(Code.INTERNAL, str(error)) from error
                self._opened[model.lease.servable] = found
            return found
