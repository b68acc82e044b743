"""Reads the pieces of a sentencepiece model's file, without the package sentencepiece.

The field numbers are those of sentencepiece_model.proto (https://github.com/google/sentencepiece).
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from tfchain.core.errors import ModelFolderError
from tfchain.models.tokenizers.sentencepiece_model import Piece

KINDS = {1: "normal", 2: "unknown", 3: "control", 4: "user_defined", 5: "unused", 6: "byte"}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers


def read_pieces(path: Path) -> tuple[bytes, list[Piece]]:
    """Returns a model's bytes, and its pieces in the order of their numbers.

    Args:
        path: The file, such as `source.spm`.

    Raises:
        ModelFolderError: if it cannot be read, or is not a sentencepiece model.
    """
    try:
        proto = path.read_bytes()
        pieces = [_read_piece(bytes(value)) for field, value in _list_fields(proto) if field == 1]
    except (OSError, ValueError, IndexError, KeyError, TypeError, struct.error) as error:
        raise ModelFolderError(
            f"{path} cannot be read as a sentencepiece model: {error}. Get the file again."
        ) from error
    if not any(piece.kind == "unknown" for piece in pieces):
        raise ModelFolderError(
            f"{path} is not a sentencepiece model: it has {len(pieces)} pieces and none for unknown texts. "
            "Get the file again."
        )
    return proto, pieces


def _read_piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, "normal"
    for field, value in _list_fields(data):
        if field == 1:
            text = bytes(value).decode()
        elif field == 2:
            (score,) = struct.unpack("<f", value)
        elif field == 3:
            kind = KINDS[int.from_bytes(value, "little")]
    return Piece(text, score, kind)


def _list_fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the number and the content of each field; a number as its bytes, the lowest first."""
    place = 0
    while place < len(data):
        tag, place = _read_number(data, place)
        wire = tag & 7
        if wire == _VARINT:
            number, place = _read_number(data, place)
            yield tag >> 3, number.to_bytes(10, "little")
            continue
        if wire == _BYTES:
            length, place = _read_number(data, place)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"a field has the wire type {wire}")
        if place + length > len(data):
            raise ValueError("it ends inside a field")
        yield tag >> 3, data[place : place + length]
        place += length


def _read_number(data: bytes, place: int) -> tuple[int, int]:
    """Returns a number of variable length, and the place after it."""
    number = shift = 0
    while True:
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, place
        if shift > 63:
            raise ValueError("a number has more than 64 bits")
