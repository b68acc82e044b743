"""Documents from any source: strings, dicts, iterables, data frames, text folders, files of records, BEIR folders."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.metadata import to_metadata
from tfchain.data.documents.prepared_set import read_prepared_set
from tfchain.data.documents.text_folder import TEXT_ENDINGS, read_text_file, read_text_folder
from tfchain.data.files.paths import printable, to_path
from tfchain.data.files.place import Place, Record
from tfchain.data.files.records import block_records, choose_all, read_records, record_ending
from tfchain.data.files.shard_manifest import read_manifest
from tfchain.data.files.tables import is_frame, read_frame
from tfchain.data.files.values import is_missing, to_id, to_plain

logger = logging.getLogger(__name__)

DocumentItem = str | Mapping[str, Any] | Document | Path
DocumentSource = DocumentItem | Iterable[DocumentItem]

ID_KEYS = ("id", "_id", "docid")
CORPUS_NAMES = ("corpus.jsonl", "corpus.jsonl.gz")


def read_documents(source: DocumentSource, *, first_number: int = 0) -> Iterator[Document]:
    """Reads documents one at a time, so that memory grows only with the number of ids.

    Args:
        source: One of these, or an iterable of them (in which a string is always a text):

            - a text: its id is its position in the whole call, `"0"`, `"1"`, …
            - a dict with `text`, and optionally `id` (or `_id`, `docid`; a whole number or a UUID becomes a string),
              `title` and `metadata`; all other keys become metadata. Without an id it gets its position, as a text
              does. An id, title or metadata that is missing (`None`, NaN, NaT, an empty cell) counts as absent.
            - a `Document`.
            - a path: a folder of text files (the path below the folder is the id, a Markdown file's first heading the
              title), one text file, a BEIR folder, a set that `prepare` wrote, or a `.jsonl`, `.csv`, `.tsv` (each also
              `.gz`) or `.parquet` file with the columns of the dict above. `~` is the home folder.
            - a data frame (pandas, Polars, Arrow) with these columns, not inside an iterable.

            A single string that names a file or a folder is also a path. Documents with neither title nor text are an
            error, but in folders of text, BEIR folders and corpus.jsonl files, which users cannot always fix, they are
            skipped with a warning.
        first_number: The id of the first document if it has none; later documents count on from it. Default: 0.

    Yields:
        The documents, in order; those of a folder sorted by path.

    Raises:
        InputError: if a file is missing, empty, broken or not UTF-8 (with the line), a document is not text, or an id
            appears twice (with both places).
    """
    places: dict[str, Place] = {}
    for number, (place, item) in enumerate(read_items(source), first_number):
        document = to_document(item, place, str(number))
        if document.id in places:
            raise InputError(
                f"{place}: the id {document.id!r} appears twice in one call, first at {places[document.id]}. "
                "Give each document its own id, or leave the second one out."
            )
        places[document.id] = place
        yield document


def read_items(source: Any) -> Iterator[tuple[Place, Any]]:
    """Reads texts, dicts and Documents, with their places."""
    if isinstance(source, str) and not names_path(source):
        yield Place("the text"), source
    elif isinstance(source, str | os.PathLike):
        yield from read_path(to_path(source))
    elif isinstance(source, Mapping):
        yield Place("the dict"), source
    elif isinstance(source, Document):
        yield Place("the Document"), source
    elif is_frame(source):
        for block in read_frame(source, choose_all, "documents"):
            yield from block_records(block)
    elif isinstance(source, Iterable) and not isinstance(source, bytes | bytearray | set | frozenset):
        for number, item in enumerate(source):
            if isinstance(item, os.PathLike):
                yield from read_path(to_path(item))
            else:
                yield Place("documents[", number, "]"), item
    else:
        raise InputError(
            "`documents` must be a text, a dict, a Document, a path, a data frame, or an ordered iterable of them. "
            f"Received: {type(source).__name__}."
        )


def names_path(text: str) -> bool:
    """Returns whether a single string is a path rather than a text.

    Raises:
        InputError: if it looks like a path, but no such file or folder exists.
    """
    if os.path.exists(os.path.expanduser(text) if "/" in text else text):
        return True
    endings = (*TEXT_ENDINGS, ".jsonl", ".csv", ".tsv", ".parquet", ".gz")
    if text and not any(map(str.isspace, text)) and ("/" in text or text.lower().endswith(endings)):
        raise InputError(
            f"No such file or folder: {text}. Check the path (the current folder is {Path.cwd()}). "
            "If it is a text to add, put it into a list: [text]."
        )
    return False


def read_path(path: Path) -> Iterator[Record]:
    """Reads the records of a file or a folder."""
    if path.is_dir() and (manifest := read_manifest(path)) is not None:
        yield from read_prepared_set(path, manifest)
    elif path.is_dir():
        corpus = find_corpus(path)
        yield from skip_blank(read_records(corpus) if corpus else read_text_folder(path), path)
    elif path.name in CORPUS_NAMES:
        yield from skip_blank(read_records(path), path)
    elif path.suffix.lower() in TEXT_ENDINGS:
        yield read_text_file(path, path.name)
    elif path.exists() and record_ending(path) is None:
        raise InputError(
            f"Expected a file that ends in {', '.join(TEXT_ENDINGS)}, .jsonl, .csv, .tsv (each of these three also "
            f".gz) or .parquet. Received: {printable(path)}."
        )
    else:
        yield from read_records(path)


def find_corpus(folder: Path) -> Path | None:
    """Returns the corpus file of a BEIR folder; `None` if the folder has none."""
    return next((folder / name for name in CORPUS_NAMES if (folder / name).is_file()), None)


def skip_blank(records: Iterator[Record], path: Path) -> Iterator[Record]:
    """Skips records with neither title nor text, and logs how many there were."""
    skipped: list[Place] = []
    for place, record in records:
        if "text" in record and is_blank(record["text"]) and is_blank(record.get("title")):
            skipped.append(place)
        else:
            yield place, record
    if skipped:
        logger.warning(
            "Skipped %d documents of %s that have neither title nor text, the first at %s.",
            len(skipped),
            printable(path),
            skipped[0],
        )


def is_blank(value: Any) -> bool:
    """Returns whether a text is missing, or is empty or only white space."""
    return is_missing(value) or (isinstance(value, str) and not value.strip())


def to_document(item: Any, place: Place, default_id: str) -> Document:
    """Makes a Document from a text or a dict, or checks an existing Document.

    Raises:
        InputError: if the item cannot become a Document; the message begins with the place.
    """
    try:
        if isinstance(item, Document):
            to_id(item.id, "A document")
            return item if item.metadata == {} else replace(item, metadata=to_metadata(item.metadata))
        item = to_plain(item)
        if isinstance(item, str):
            return Document(default_id, item)
        if isinstance(item, Mapping):
            return from_mapping(item, default_id)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    raise InputError(
        f"{place}: a document must be a text, a dict, a Document or a path. Received: {item!r:.60} of type "
        f"{type(item).__name__}. Convert it to text, or leave it out."
    )


def from_mapping(record: Mapping[str, Any], default_id: str) -> Document:
    """Makes a Document from a dict."""
    ids = {key: to_id(record[key], "A document") for key in ID_KEYS if key in record}
    id_key = next((key for key, found in ids.items() if found is not None), None)
    id = default_id if id_key is None else ids[id_key]
    if "text" not in record:
        raise InputError(
            f"A document must have a `text`. Received: document {id!r} with the keys "
            f"{', '.join(map(repr, record))}. Rename the key that holds the text."
        )
    inner = to_plain(record.get("metadata"))
    if not is_missing(inner) and not isinstance(inner, Mapping):
        raise InputError(
            f"A document's `metadata` must be a dict. Received: {inner!r:.60} of type {type(inner).__name__} "
            f"(document {id!r}). Use metadata={{'name': value}}."
        )
    used = ("text", "title", "metadata", *(key for key, found in ids.items() if key == id_key or found is None))
    others = {key: value for key, value in record.items() if key not in used}
    title = "" if is_missing(record.get("title")) else to_plain(record["title"])
    text = record["text"]
    return Document(
        id=str(id),
        text="" if is_missing(text) and title and not is_blank(title) else to_plain(text),
        title=title,
        metadata=to_metadata({**others, **(inner if isinstance(inner, Mapping) else {})}),
    )
