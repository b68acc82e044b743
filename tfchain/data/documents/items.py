"""What users give as documents, one item at a time with its place, and the Documents made of them."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.file_kinds import DOCUMENT_ENDINGS, RECORD_ENDINGS
from tfchain.data.documents.file_reader import FileReader
from tfchain.data.documents.metadata import to_metadata
from tfchain.data.files.datasets import is_hugging_face, is_tf_dataset, read_hugging_face, read_tf_dataset
from tfchain.data.files.listing import is_pattern
from tfchain.data.files.place import Block, Place
from tfchain.data.files.records import block_records, choose_all
from tfchain.data.files.remote import is_url
from tfchain.data.files.tables import is_frame, read_frame
from tfchain.data.files.values import is_missing, to_id, to_plain

DocumentItem = str | Mapping[str, Any] | Document | os.PathLike[str]
DocumentSource = DocumentItem | Iterable[DocumentItem]

ID_KEYS = ("id", "_id", "docid")
PATH_ENDINGS = (
    *(*DOCUMENT_ENDINGS, *RECORD_ENDINGS),
    *(".gz", ".zst", ".bz2", ".xz", ".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tzst"),
)


def read_items(source: Any, files: FileReader) -> Iterator[tuple[Place, Any]]:
    """Reads texts, dicts and Documents, with their places.

    Args:
        source: What `read_documents` takes.
        files: Reads the paths among them.
    """
    if isinstance(source, str) and not names_path(source):
        yield Place("the text"), source
    elif isinstance(source, str | os.PathLike):
        yield from files.read(source)
    elif isinstance(source, Document):
        yield Place("the Document"), source
    elif (blocks := find_blocks(source)) is not None:
        for block in blocks:
            yield from block_records(block)
    elif isinstance(source, Mapping):
        yield Place("the dict"), source
    elif isinstance(source, Iterable) and not isinstance(source, bytes | bytearray | set | frozenset):
        for number, item in enumerate(source):
            if isinstance(item, os.PathLike):
                yield from files.read(item)
            else:
                yield Place("documents[", number, "]"), item
    else:
        raise InputError(
            "`documents` must be a text, a dict, a Document, a path, a data frame, or an ordered iterable of them. "
            f"Received: {type(source).__name__}."
        )


def find_blocks(source: Any) -> Iterator[Block] | None:
    """Returns the rows of a data frame or a dataset, in blocks; None for another source."""
    if is_tf_dataset(source):
        return read_tf_dataset(source, choose_all, name_text, "documents")
    if is_hugging_face(source):
        return read_hugging_face(source, "train", choose_all, "documents")
    return read_frame(source, choose_all, "documents") if is_frame(source) else None


def name_text(width: int) -> tuple[str, ...]:
    """Returns the names of the parts of a tf.data dataset's elements: of a text alone, or an id and a text."""
    if width > 2:
        raise InputError(
            f"`documents` must yield texts, (id, text) tuples or dicts. Received: tuples of {width}. Map it to "
            "{'id': …, 'title': …, 'text': …}."
        )
    return ("text",) if width == 1 else ("id", "text")


def names_path(text: str) -> bool:
    """Returns whether a single string is a path, a pattern or a URL rather than a text.

    Raises:
        InputError: if it looks like a path, but no such file or folder exists.
    """
    if os.path.exists(os.path.expanduser(text) if "/" in text else text) or is_url(text):
        return True
    is_like_path = bool(text) and not any(map(str.isspace, text))
    if is_like_path and ("/" in text or text.lower().endswith(PATH_ENDINGS)):
        if is_pattern(text):
            return True
        raise InputError(
            f"No such file or folder: {text}. Check the path (the current folder is {Path.cwd()}). "
            "If it is a text to add, put it into a list: [text]."
        )
    return False


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
    return Document(
        id=str(id),
        text="" if is_missing(record["text"]) else to_plain(record["text"]),
        title="" if is_missing(record.get("title")) else to_plain(record["title"]),
        metadata=to_metadata({**others, **(inner if isinstance(inner, Mapping) else {})}),
    )
