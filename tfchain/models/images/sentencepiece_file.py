"""Reads a sentencepiece model's file: its pieces, and how it normalises texts.

The field numbers are those of sentencepiece_model.proto (https://github.com/google/sentencepiece).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfchain.core.errors import ModelFolderError

_ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
_UNKNOWN = 2  # a piece's type


@dataclass(frozen=True)
class SentencePieceFile:
    """The content of a sentencepiece model.

    Args:
        pieces: The pieces with their scores, by id.
        unknown_id: The id of the piece for what is unknown.
        algorithm: `unigram`, `bpe`, `word` or `char`.
        charsmap: The table of characters that are replaced; empty if none is.
    """

    pieces: tuple[tuple[str, float], ...]
    unknown_id: int
    algorithm: str
    charsmap: bytes


def read_sentencepiece_file(path: Path) -> SentencePieceFile:
    """Reads a sentencepiece model.

    Raises:
        ModelFolderError: if the file is missing or damaged.
    """
    try:
        pieces: list[tuple[str, float]] = []
        unknown, algorithm, charsmap = 0, 1, b""
        for field, value in _read_fields(path.read_bytes()):
            if field == 1 and isinstance(value, bytes):
                parts = dict(_read_fields(value))
                if parts.get(3, 1) == _UNKNOWN:
                    unknown = len(pieces)
                score = parts.get(2, b"\0\0\0\0")
                assert isinstance(score, bytes)
                assert isinstance(parts[1], bytes)
                pieces.append((parts[1].decode(), struct.unpack("<f", score)[0]))
            elif field == 2 and isinstance(value, bytes):
                found = dict(_read_fields(value)).get(3, 1)
                algorithm = found if isinstance(found, int) else 1
            elif field == 3 and isinstance(value, bytes):
                found = dict(_read_fields(value)).get(2, b"")
                charsmap = found if isinstance(found, bytes) else b""
        return SentencePieceFile(tuple(pieces), unknown, _ALGORITHMS[algorithm], charsmap)
    except (OSError, ValueError, KeyError, IndexError, AssertionError, struct.error) as error:
        raise ModelFolderError(
            f"{path} is no sentencepiece model: {type(error).__name__}: {error}. Get the file again."
        ) from error


def _read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields the fields of a protocol buffer: numbers, or bytes."""
    place = 0
    while place < len(message):
        key, place = _read_varint(message, place)
        field, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _read_varint(message, place)
            yield field, value
            continue
        if kind == 2:
            length, place = _read_varint(message, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of type {kind}")
        if place + length > len(message):
            raise ValueError("it ends inside a field")
        yield field, message[place : place + length]
        place += length


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
