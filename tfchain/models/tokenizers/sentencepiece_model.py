"""Writes a sentencepiece model, as TensorFlow Text's SentencepieceTokenizer takes it.

The field numbers are those of sentencepiece_model.proto (https://github.com/google/sentencepiece).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_ALGORITHMS = {"unigram": 1, "bpe": 2}
_KINDS = {"normal": 1, "unknown": 2, "control": 3, "user_defined": 4, "unused": 5, "byte": 6}
_VARINT, _BYTES, _FLOAT = 0, 2, 5  # wire types of protocol buffers


@dataclass(frozen=True, slots=True)
class Piece:
    """An entry of a sentencepiece model.

    Args:
        text: The piece. Pieces of a model differ. Halves of surrogate pairs make a piece that no text has.
        score: A log probability (unigram), or minus the rank of the merge that makes the piece (BPE). Default: 0.
        kind: `normal`; `unknown`, which each model has once; `control`, never found in a text; `user_defined`, always
            found and never merged; `byte`, whose text is `<0x00>` to `<0xFF>`. Default: `normal`.
    """

    text: str
    score: float = 0.0
    kind: str = "normal"


@dataclass(frozen=True, slots=True)
class UnknownRun:
    """What neighbouring unknown pieces of a word become together.

    Args:
        pieces: The unknown pieces: the model's own, and, if the model has it, that of the unknown token written out.
        text: The unknown token.
        byte_ids: The token id of each byte, -1 for a byte that has none; a run with such a byte is one unknown token.
            Default: none, and each run is.
    """

    pieces: tuple[int, ...]
    text: str
    byte_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PieceModel:
    """A sentencepiece model, and what its pieces stand for.

    Args:
        proto: From `make_sentencepiece_model`.
        token_ids: int32 `(pieces,)`: the token id of each piece, or -1 for a piece that yields no token.
        reads_bytes: Whether the model's characters are bytes: U+0000 to U+00FF for 0x00 to 0xFF. Default: False, they
            are the text's characters.
        unknown: A pattern (RE2) for the characters that are replaced before a text is split. Default: None.
        stand_in: What they are replaced by. Default: nothing.
        whole_words: Words that are one token each, whatever the pieces give, with their ids. Default: none.
        hidden: Patterns (RE2), each with what takes its place in texts, in their order, before anything else is done.
            They hide characters that sentencepiece cannot have in a piece. Default: none.
        unknown_run: What neighbouring unknown pieces become. Default: what the model makes of them.
        ends_words: Whether the boundary after a word is part of its last piece. Default: False.
    """

    proto: bytes
    token_ids: npt.NDArray[np.int32]
    reads_bytes: bool = False
    unknown: str | None = None
    stand_in: str = ""
    whole_words: tuple[tuple[str, int], ...] = ()
    hidden: tuple[tuple[str, str], ...] = ()
    unknown_run: UnknownRun | None = None
    ends_words: bool = False


def make_sentencepiece_model(pieces: Sequence[Piece], *, algorithm: str, byte_fallback: bool = False) -> bytes:
    """Makes a model that takes texts as they are: no normalizing, no space added, removed or replaced.

    Args:
        pieces: The pieces; a piece's id is its place. One is `unknown`.
        algorithm: `unigram` (the most likely pieces) or `bpe` (merges in the order of scores).
        byte_fallback: Whether unknown characters become pieces of kind `byte`, of which there must be 256.
            Default: False.

    Returns:
        A serialized `sentencepiece.ModelProto`.
    """
    unknown = next(index for index, piece in enumerate(pieces) if piece.kind == "unknown")
    trainer = (
        _number(3, _ALGORITHMS[algorithm])
        + _number(4, len(pieces))
        + _number(24, 0)
        + _number(35, int(byte_fallback))
        + _number(40, unknown)
        + b"".join(_number(field, -1) for field in (41, 42, 43))  # no tokens for begin, end and padding
        + _text(45, pieces[unknown].text.encode("utf-8", "surrogatepass"))
    )
    normalizer = _text(1, b"identity") + b"".join(_number(field, 0) for field in (3, 4, 5))
    entries = b"".join(_text(1, _write_piece(piece)) for piece in pieces)
    return entries + _text(2, trainer) + _text(3, normalizer)


def _write_piece(piece: Piece) -> bytes:
    score = _varint(2 << 3 | _FLOAT) + struct.pack("<f", piece.score)
    return _text(1, piece.text.encode("utf-8", "surrogatepass")) + score + _number(3, _KINDS[piece.kind])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value & (1 << 64) - 1)


def _text(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
