"""The folder that a pipeline makes: workers write into it, and it appears when all of it is there."""

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tfchain.core.atomic import check_can_write, remove_partials, rename_folder, sync_folder, sync_tree, writing
from tfchain.core.checks import to_path
from tfchain.core.errors import InputError, TfchainError
from tfchain.core.file_lock import file_lock
from tfchain.data.beam.files import delete, is_url, join, list_names, write_bytes

WORK_NAME = ".beam"  # in an object store, below the folder itself


@dataclass(frozen=True)
class OutputFolder:
    """A folder that is to appear.

    On a disk, workers write into `.beam-NAME/set` beside it, which gets its name at the end. In an object store, where
    folders have no names to change, they write into the folder itself; there the manifest, which is written last,
    makes the files in it a set. What a killed run has left is taken up, or replaced, by the next.

    Args:
        path: The folder; a URL such as `gs://bucket/set` for an object store.
        manifest: The name of the file that is written last.
    """

    path: str
    manifest: str

    @property
    def work(self) -> str:
        """The folder for what is not part of the set."""
        if is_url(self.path):
            return join(self.path, WORK_NAME)
        path = Path(self.path)
        return str(path.parent / f"{WORK_NAME}-{path.name}")

    @property
    def folder(self) -> str:
        """The folder that workers write into."""
        return self.path if is_url(self.path) else join(self.work, "set")

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Makes the folders, and keeps other pipelines of this machine out while the block runs.

        Raises:
            InputError: if the folder holds something.
            TfchainError: if another process writes there, or the folder cannot be written.
        """
        if is_url(self.path):
            if self.manifest in list_names(self.path):
                raise self._taken()
            yield
            return
        path = Path(self.path)
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise self._taken()
        check_can_write(path.parent)
        with writing(path):
            Path(self.folder).mkdir(parents=True, exist_ok=True)
        taken = TfchainError(
            f"Another process writes {path}. Nothing was written. Wait for it, or give another output."
        )
        with file_lock(Path(self.work) / "lock", taken=taken):
            remove_partials(self.folder)
            yield

    def publish(self, names: Iterable[str], manifest: bytes) -> None:
        """Deletes what an earlier run has left, writes the manifest, and gives the folder its name.

        Args:
            names: The paths, below the folder, of the files that belong to it, without the manifest.
            manifest: The manifest's content.
        """
        kept = {*names, self.manifest}
        local = not is_url(self.path)
        left = [name for name in list_names(self.folder) if name not in kept]
        delete([join(self.folder, name) for name in left if local or not name.startswith(f"{WORK_NAME}/")])
        write_bytes(join(self.folder, self.manifest), manifest)
        if not local:
            delete([join(self.work, name) for name in list_names(self.work)])
            return
        with writing(Path(self.path)):
            remove_empty_folders(Path(self.folder))
            sync_tree(Path(self.folder))
            rename_folder(Path(self.folder), Path(self.path))
            sync_folder(Path(self.path).parent)
        shutil.rmtree(self.work, ignore_errors=True)

    def _taken(self) -> InputError:
        return InputError(
            f"`output` must not exist, or must be an empty folder. Received: {self.path}, which exists. Name another "
            "folder, or delete it.",
            argument="output",
        )


def to_output(name: str, path: Path | str, manifest: str) -> OutputFolder:
    """Makes an output folder of an argument.

    Raises:
        InputError: if it is neither a path nor a URL.
    """
    if isinstance(path, str) and is_url(path):
        return OutputFolder(path.rstrip("/"), manifest)
    return OutputFolder(str(to_path(name, path).absolute()), manifest)


def remove_empty_folders(folder: Path) -> None:
    """Removes the empty folders below a folder."""
    for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):
            path.rmdir()
