"""Records as lines of JSON, made where the steps run, so that workers pass on bytes instead of objects."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.metadata import to_metadata
from tfchain.data.files.shard_manifest import Kind
from tfchain.data.steps.record import Record, record_id, to_dict

DIGEST_BYTES = 16
ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True)
class EncodedBlock:
    """Records that are ready to be written.

    Args:
        kind: Whether they are documents or rows; `None` if there are none.
        lines: Each as a line of JSON in UTF-8, with its line feed.
        digests: 16 bytes for each document's id, one after the other; empty for rows.
    """

    kind: Kind | None
    lines: list[bytes]
    digests: bytes = b""


def encode_block(records: Sequence[Record]) -> EncodedBlock:
    """Encodes records.

    Raises:
        InputError: if some are documents and others rows, or a value of a row cannot be written as JSON.
    """
    if not records:
        return EncodedBlock(None, [])
    kind: Kind = "documents" if isinstance(records[0], Document) else "rows"
    for record in records:
        if isinstance(record, Document) is not (kind == "documents"):
            raise mixed_error(record)
    lines = [encode_line(record) for record in records]
    if kind == "rows":
        return EncodedBlock(kind, lines)
    digests = b"".join(blake2b(record_id(record).encode(), digest_size=DIGEST_BYTES).digest() for record in records)
    return EncodedBlock(kind, lines, digests)


def encode_line(record: Record) -> bytes:
    """Returns a record as a line of JSON; dates become text and missing values null, as in documents' metadata."""
    values = to_dict(record)
    try:
        return (ENCODER.encode(values) + "\n").encode()
    except (TypeError, ValueError):  # among them lone surrogates
        pass
    try:
        return (ENCODER.encode(to_metadata(values)) + "\n").encode()
    except InputError as error:
        raise InputError(f"The record {record_id(record)!r:.60} cannot be written: {error}") from None


def mixed_error(record: Any) -> InputError:
    """Makes the error for documents among rows, or rows among documents."""
    kind = "a document" if isinstance(record, Document) else "a row"
    return InputError(
        f"A prepared set must have records of one kind. Received: {kind} ({record_id(record)!r:.60}) among others. "
        "Prepare documents and rows into two sets."
    )
