"""Documents from any source: texts, dicts, data frames, datasets, files, folders, archives and URLs."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.file_reader import FileReader
from tfchain.data.documents.items import DocumentItem, DocumentSource, read_items, to_document
from tfchain.data.files.limits import ReadLimits
from tfchain.data.files.place import Place
from tfchain.data.files.read_session import ReadSession

__all__ = [
    "DocumentItem",
    "DocumentReader",
    "DocumentSource",
    "Empty",
    "ReadOptions",
    "read_documents",
    "read_for_index",
]

logger = logging.getLogger(__name__)

Empty = Literal["skip", "error", "keep"]
EMPTY_CHOICES = ("skip", "error", "keep")


@dataclass(frozen=True)
class ReadOptions:
    """What becomes of documents that are empty or broken, and of broken rows, for those who hand reading on.

    Args:
        empty: As in `read_documents`. Default: `skip`.
        max_broken: As there. Default: 0.
        broken_file: As there. Default: not kept.
        limits: As there. Default: `ReadLimits()`.

    Raises:
        InputError: if `empty` is another word, or `max_broken` is not a whole number from 0.
    """

    empty: Empty = "skip"
    max_broken: int = 0
    broken_file: Path | str | None = None
    limits: ReadLimits | None = None

    def __post_init__(self) -> None:
        check_empty(self.empty)
        self.new_session()

    def new_session(self) -> ReadSession:
        """Returns the session of a run that has read nothing."""
        return ReadSession(self.max_broken, self.broken_file, self.limits)


def check_empty(empty: str) -> None:
    """Raises an InputError if what should become of empty documents is another word."""
    if empty not in EMPTY_CHOICES:
        raise InputError(
            f"`empty` must be one of {', '.join(EMPTY_CHOICES)}. Received: empty={empty!r:.60}.", argument="empty"
        )


def read_documents(
    source: DocumentSource,
    *,
    first_number: int = 0,
    empty: Empty = "skip",
    max_broken: int = 0,
    broken_file: Path | str | None = None,
    limits: ReadLimits | None = None,
) -> Iterator[Document]:
    """Reads documents one at a time, so that memory grows only with the number of ids.

    Files are data: nothing in them is run, an archive's files are never unpacked to where their names say, and text is
    extracted from PDF, HTML and Office files in a process of its own, within limits.

    Args:
        source: One of these, or an iterable of them (in which a string is always a text):

            - a text: its id is its position in the whole call, `"0"`, `"1"`, …
            - a dict with `text`, and optionally `id` (or `_id`, `docid`; a whole number or a UUID becomes a string),
              `title` and `metadata`; all other keys become metadata. Without an id it gets its position, as a text
              does. An id, title or metadata that is missing (`None`, NaN, NaT, an empty cell) counts as absent.
            - a `Document`.
            - a path. A file of text (`.txt`, `.md`, `.rst`, `.text`), or one that text is extracted from (`.html`,
              `.pdf`, `.docx`, `.pptx`, `.xlsx`, `.epub`), is a document with its name as id. A file of records is a
              document each: `.jsonl`, `.csv`, `.tsv`, `.parquet`, `.tfrecord` with the columns of the dict above,
              SQuAD-like `.json`, MS MARCO's `collection.tsv` and `msmarco-docs.tsv`. All but `.parquet` may be
              compressed (`.gz`, `.zst`, `.bz2`, `.xz`). `~` is the home folder.
            - a folder, or a `.zip` or `.tar` archive: a set that `prepare` wrote; a BEIR folder's `corpus.jsonl`; else
              all files that are documents, in the order of their paths, which are the ids; if there are none, all files
              of records.
            - a pattern (`docs/**/*.pdf`), or a URL that fsspec reads (`gs://`, `s3://`, `http://`), also with a
              pattern. In a list, write `Path(…)`, or `Url(…)` of `tfchain.data.files.remote`.
            - a data frame (pandas, Polars, Arrow), a Hugging Face `Dataset` (of a `DatasetDict` the split `train`) or
              a `tf.data.Dataset` with these columns, not inside an iterable.

            A single string that names a file or a folder is also a path. Text files and tables of cells that are not
            UTF-8 are read in the encoding that they look like, which a warning names.
        first_number: The id of the first document if it has none; later documents count on from it. Default: 0.
        empty: What becomes of documents with neither text nor title: `skip` leaves them out, and counts them in a
            warning; `error` ends the reading; `keep` yields them, for steps that must not lose a row. An index takes
            none. Default: `skip`.
        max_broken: How many broken records (a line that is not JSON, a damaged file, an id that appears twice) are left
            out, and counted in a warning, before one ends the reading. Default: 0, the first one does.
        broken_file: Where to write the broken records, as lines of JSON with `place`, `reason` and `record`. Default:
            not kept.
        limits: How much a file may take. Default: `ReadLimits()`.

    Yields:
        The documents, in order; those of a folder sorted by path. A PDF's metadata has `page_starts`: where in `text`
        each page begins.

    Raises:
        InputError: if a file is missing, empty, broken or too large (with the line), a document is not text, an id
            appears twice (with both places), or nothing could be read but broken records.
        MissingPackageError: if the package that reads such a file is not installed.
    """
    reader = DocumentReader(
        source,
        first_number=first_number,
        empty=empty,
        session=ReadSession(max_broken, broken_file, limits),
    )
    return iter(reader)


class DocumentReader:
    """Reads documents, and counts what it leaves out; `read_documents` is its plain form.

    Args:
        source: What `read_documents` takes.
        first_number: As there. Default: 0.
        empty: As there. Default: `skip`.
        session: Limits, and what becomes of broken records. Default: the first one is an error.
        unique_ids: Whether an id that appears twice is an error; without, memory does not grow with the number of ids.
            Default: True.
        id_prefix: What the id of a document without one begins with, before its number. Default: nothing.

    Attributes:
        next_number: The id of the next document if it has none.
        num_empty: How many documents had neither text nor title.
        session: The session, which counts the broken records.

    Raises:
        InputError: if `empty` is another word.
    """

    def __init__(
        self,
        source: DocumentSource,
        *,
        first_number: int = 0,
        empty: Empty = "skip",
        session: ReadSession | None = None,
        unique_ids: bool = True,
        id_prefix: str = "",
    ) -> None:
        check_empty(empty)
        self.source = source
        self.empty = empty
        self.session = session or ReadSession()
        self.next_number = first_number
        self.num_empty = 0
        self._unique_ids = unique_ids
        self._id_prefix = id_prefix
        self._first_empty: Place | None = None

    def __iter__(self) -> Iterator[Document]:
        """Yields the documents; the reader is read once."""
        self.session.start()
        num_read = 0
        try:
            with FileReader(self.session) as files:
                for document in self._read(files):
                    num_read += 1
                    yield document
        finally:
            self.session.finish()
            if self.num_empty and self.empty == "skip":
                logger.warning(
                    "Skipped %d %s with neither title nor text, the first at %s.",
                    *(self.num_empty, "document" if self.num_empty == 1 else "documents", self._first_empty),
                )
        self.session.check_found(bool(num_read), "documents")

    def _read(self, files: FileReader) -> Iterator[Document]:
        places: dict[str, Place] = {}
        for place, item in read_items(self.source, files):
            number = self.next_number
            self.next_number += 1
            try:
                document = to_document(item, place, f"{self._id_prefix}{number}")
                if document.is_empty and not self._takes_empty(document, place):
                    continue
                if self._unique_ids:
                    check_new(document.id, place, places)
            except InputError as error:
                self.session.reject(error, place, item)
                continue
            yield document

    def _takes_empty(self, document: Document, place: Place) -> bool:
        """Counts a document without text, and returns whether to yield it."""
        self.num_empty += 1
        self._first_empty = self._first_empty or place
        if self.empty == "error":
            raise InputError(
                f"{place}: A document must have a text or a title. Received: document {document.id!r} with neither. "
                "Leave it out, or give it a text; empty='skip' leaves out all such documents."
            )
        return self.empty == "keep"


def read_for_index(source: DocumentSource, *, empty: Empty, session: ReadSession) -> DocumentReader:
    """Makes a reader of documents for an index, which holds none that are empty.

    Raises:
        InputError: if `empty` is neither `skip` nor `error`.
    """
    if empty == "keep":
        raise InputError(
            "`empty` must be 'skip' or 'error' for an index: a document with neither text nor title has nothing to "
            "encode, and no search can find it. Received: empty='keep'.",
            argument="empty",
        )
    return DocumentReader(source, empty=empty, session=session)


def check_new(id: str, place: Place, places: dict[str, Place]) -> None:
    """Remembers where an id is; raises an InputError if it was there before."""
    if id in places:
        raise InputError(
            f"{place}: the id {id!r} appears twice in one call, first at {places[id]}. "
            "Give each document its own id, or leave the second one out."
        )
    places[id] = place
