"""Records: what steps take and return, and the texts in them."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from tfchain.core.types import Document

Record = Document | Mapping[str, Any]
"""A document, or a row to train or evaluate on: a dict of columns (`query`, `positive`, `text`, `label`, …)."""

ID_NAMES = ("id", "_id", "docid")
TEXT_NAMES = frozenset(
    {
        *("title", "text", "query", "anchor", "question", "sentence1", "sentence2"),
        *("positive", "document", "answer", "context", "passage", "negative", "negatives"),
    }
)
NEGATIVE_NAME = re.compile(r"negative_[0-9]{1,9}")


def texts_of(record: Record) -> dict[str, str]:
    """Returns a record's texts by name.

    Args:
        record: A document has `title` (if it has one) and `text`; a row those of its columns that training reads, a
            list of negatives as `negatives[0]`, `negatives[1]`, …. Labels, ids, metadata and other columns are not
            texts.

    Example:
        >>> texts_of({"text": "How do I top up?", "label": "top_up", "id": "7"})
        {'text': 'How do I top up?'}
    """
    if isinstance(record, Document):
        return {"title": record.title, "text": record.text} if record.title else {"text": record.text}
    texts: dict[str, str] = {}
    for name, value in record.items():
        if not is_text_name(name):
            continue
        if isinstance(value, str):
            texts[name] = value
        elif isinstance(value, list | tuple):
            texts.update((f"{name}[{i}]", text) for i, text in enumerate(value) if isinstance(text, str))
    return texts


def is_text_name(name: str) -> bool:
    """Returns whether a column of this name holds texts."""
    return name in TEXT_NAMES or NEGATIVE_NAME.fullmatch(name) is not None


def change_texts(record: Record, change: Callable[[str, str], str]) -> Record:
    """Returns a record with each of its texts changed; the record itself if none does.

    Args:
        record: The record, which stays as it is.
        change: Takes the name and the text; returns the new text.
    """
    if isinstance(record, Document):
        text = change("text", record.text)
        title = change("title", record.title) if record.title else ""
        same = text == record.text and title == record.title
        return record if same else replace(record, text=text, title=title)
    new: dict[str, Any] = {}
    for name, value in record.items():
        if not is_text_name(name):
            continue
        if isinstance(value, str):
            changed: Any = change(name, value)
        elif isinstance(value, list | tuple):
            changed = [change(f"{name}[{i}]", text) if isinstance(text, str) else text for i, text in enumerate(value)]
            changed = value if changed == list(value) else changed
        else:
            continue
        if changed is not value and changed != value:
            new[name] = changed
    return {**record, **new} if new else record


def record_id(record: Record) -> str:
    """Returns a record's id; of a row without one, 16 hexadecimal digits of the hash of its content."""
    if isinstance(record, Document):
        return record.id
    for name in ID_NAMES:
        if record.get(name) is not None:
            return str(record[name])
    return blake2b(to_json(record).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def to_json(record: Record) -> str:
    """Returns a record as one line of JSON with sorted keys; values JSON does not know as their text."""
    return json.dumps(to_dict(record), ensure_ascii=False, sort_keys=True, default=str)


def to_dict(record: Record) -> dict[str, Any]:
    """Returns a record as a dict; a document without title or metadata without these keys."""
    if not isinstance(record, Document):
        return dict(record)
    found: dict[str, Any] = {"id": record.id}
    if record.title:
        found["title"] = record.title
    found["text"] = record.text
    if record.metadata:
        found["metadata"] = dict(record.metadata)
    return found
