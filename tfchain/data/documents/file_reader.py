"""Documents of files, wherever they are: single files, folders, archives, patterns and URLs."""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.documents.file_folder import list_folder
from tfchain.data.documents.file_kinds import READ_FROM, choose_files
from tfchain.data.documents.msmarco import is_collection, read_collection
from tfchain.data.documents.prepared_set import read_prepared_set
from tfchain.data.documents.squad import is_squad, read_squad_documents
from tfchain.data.documents.text_files import read_text_file
from tfchain.data.extraction.extracted import ENDINGS as EXTRACTED_ENDINGS
from tfchain.data.extraction.extractor import Extractor
from tfchain.data.files.archives import list_archive, read_archive
from tfchain.data.files.data_file import DataFile, open_path, to_file
from tfchain.data.files.kinds import archive_kind, is_text
from tfchain.data.files.listing import find_named_files
from tfchain.data.files.paths import has_valid_name, printable, to_path
from tfchain.data.files.place import Place, Record
from tfchain.data.files.read_session import ReadSession
from tfchain.data.files.records import read_records, record_ending
from tfchain.data.files.remote import is_url
from tfchain.data.files.shard_manifest import read_manifest

logger = logging.getLogger(__name__)


class FileReader:
    """Reads the documents of files; use it in a `with` block, which ends the process that extracts text.

    Args:
        session: Limits, and what becomes of files and records that cannot be read.
    """

    def __init__(self, session: ReadSession) -> None:
        self.session = session
        self._extractor = Extractor(session.limits)

    def __enter__(self) -> "FileReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._extractor.close()

    def read(self, source: str | os.PathLike[str]) -> Iterator[Record]:
        """Reads what a path, a pattern or a URL names; a file that cannot be read is one broken record.

        Raises:
            InputError: if there is nothing of that name, or more is broken than the session bears.
        """
        named = find_named_files(os.fspath(source))
        if named is not None and (len(named) > 1 or not is_url(os.fspath(source))):
            yield from self._read_all(named)
            return
        if named is not None:
            ((name, file),) = named
            yield from self.session.bear(self.read_file(file, name), file.label)
            return
        path = to_path(source)
        if path.is_dir() and (manifest := read_manifest(path)) is not None:
            yield from read_prepared_set(path, manifest)
            return
        if path.is_dir():
            yield from self._read_all([(name, to_file(found)) for name, found in list_folder(path)])
            return
        open_path(path).close()  # raises: what the user names must be there
        yield from self.session.bear(self.read_file(to_file(path), path.name), printable(path))

    def read_file(self, file: DataFile, id: str, *, folder: str = "") -> Iterator[Record]:
        """Reads the documents of one file.

        Args:
            file: The file.
            id: The id of its document, if it is one.
            folder: What comes before the ids of an archive's documents, which are their paths in it. Default: nothing.

        Raises:
            InputError: if the file is of another kind, or cannot be read.
        """
        check_id(id, file)
        if archive_kind(file.name):
            yield from self._read_members(file, folder)
        elif is_text(file):
            yield read_text_file(file, id, self.session)
        elif file.ending in EXTRACTED_ENDINGS:
            yield self._extract(file, id)
        elif is_squad(file):
            yield from read_squad_documents(file, self.session)
        elif is_collection(file.name):
            yield from read_collection(file, self.session)
        elif record_ending(file) is not None:
            yield from read_records(file, self.session)
        else:
            raise InputError(f"Expected a file that ends in {READ_FROM}. Received: {file}.")

    def _read_all(self, files: Iterable[tuple[str, DataFile]]) -> Iterator[Record]:
        """Reads several files, each with its path below what they lie in."""
        for name, file in files:
            yield from self.session.bear(self.read_file(file, name, folder=f"{name}/"), file.label)

    def _read_members(self, archive: DataFile, folder: str) -> Iterator[Record]:
        """Reads the files of an archive that a folder of them would be read from."""
        choice = choose_files(list_archive(archive, self.session), corpus_anywhere=True)
        if not choice.names:
            raise InputError(
                f"{archive} has no file that documents are read from. Expected files that end in {READ_FROM}. "
                f"Received: {choice.others} other files."
            )
        if choice.others:
            logger.info("Left out %d files of %s that documents are not read from.", choice.others, archive)
        wanted = set(choice.names)
        for path, member in read_archive(archive, self.session):
            if path in wanted:
                yield from self.session.bear(self.read_file(member, folder + path), member.label)

    def _extract(self, file: DataFile, id: str) -> Record:
        """Reads a file through an extractor."""
        found = self._extractor.extract(file)
        record: dict[str, Any] = {"id": id, "title": found.title, "text": found.text}
        if found.page_starts:
            record["page_starts"] = found.page_starts
        return Place(str(file)), record


def check_id(id: str, file: DataFile) -> None:
    """Raises an InputError if a path cannot be an id."""
    if not has_valid_name(Path(id)):
        raise InputError(f"Expected a file whose name is UTF-8: it is the document's id. Received: {file}. Rename it.")
