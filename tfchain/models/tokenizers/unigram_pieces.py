"""A Unigram model of tokenizer.json as a sentencepiece model, for a graph.

Both find the most likely pieces with the same algorithm and, of ways that are equally likely, take the one whose last
piece is the longest. But Hugging Face adds log probabilities in double precision, and sentencepiece in single
precision, where the sum depends on the order: `33|3` and `3|33` are equally likely, and rounding would choose. So the
scores are made such that sums of single precision are exact:

- Each score gets a constant for each of its characters. All ways to cut a word have the same number of characters, so
  the best stays the best; and with minus the mean score of a character, the sums stay small.
- Then each score is rounded to a multiple of `2 ** -GRID_BITS`. Single precision has 24 bits, so sums below
  `2 ** (24 - GRID_BITS)` are exact, whatever their order. The rounding itself is at most that of a score of
  single precision, which is what sentencepiece's own models have.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.graph_regex import escape
from tfchain.models.tokenizers.hugging_face_parts import make_part_error
from tfchain.models.tokenizers.sentencepiece_model import Piece, PieceModel, UnknownRun, make_sentencepiece_model

GRID_BITS = 19
UNKNOWN_PENALTY = 10.0  # below the lowest score, in Hugging Face's tokenizers and in sentencepiece
_UNKNOWN, _LOWEST = "\ud802", "\ud803"  # halves of surrogate pairs: no text has these


def read_unigram(parts: Mapping[str, Any]) -> PieceModel:
    """Makes the sentencepiece model of a Unigram tokenizer.

    Args:
        parts: tokenizer.json.

    Raises:
        InputError: if the model has no unknown token, a score that is not a finite number, or U+0000 in a piece beside
            byte fallback.
    """
    model = parts["model"]
    if model["unk_id"] is None:
        raise make_part_error("model", "a Unigram model with `unk_id`", "none")
    entries = {text: (token_id, float(score)) for token_id, (text, score) in enumerate(model["vocab"])}
    if not all(math.isfinite(score) for _, score in entries.values()):
        raise InputError("The scores of a Unigram model must be finite numbers. Received: one that is not.")
    lowest = min(float(score) for _, score in model["vocab"])
    entries.pop("", None)
    slope = find_slope(model["vocab"])
    # An unknown character has the score `lowest - UNKNOWN_PENALTY`, which sentencepiece derives from the lowest piece.
    pieces = [Piece(_UNKNOWN, 0.0, "unknown"), Piece(_LOWEST, to_grid(lowest + slope))]
    pieces += [Piece(text, to_grid(score + slope * len(text))) for text, (_, score) in entries.items()]
    token_ids = [model["unk_id"], model["unk_id"], *(token_id for token_id, _ in entries.values())]
    hidden = _hide_nul(entries)
    if hidden and model.get("byte_fallback", False):
        raise make_part_error("model", "pieces without U+0000 where there is byte fallback", "one that has it")
    visible = [replace(piece, text=piece.text.replace("\0", hidden[-1][1])) for piece in pieces] if hidden else pieces
    return PieceModel(
        make_sentencepiece_model(visible, algorithm="unigram"),
        np.array(token_ids, np.int32),
        hidden=hidden,
        unknown_run=_make_run(model, {piece.text: index for index, piece in enumerate(pieces)}),
    )


def _hide_nul(pieces: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Returns what to replace in texts so that U+0000, at which sentencepiece ends a piece, is another character.

    Where that character itself is in a text, another one that is unknown takes its place.
    """
    known = set("".join(pieces))
    if "\0" not in known:
        return ()
    free = [chr(code) for code in range(0x10FFFF, 0xFFFFF, -1) if chr(code) not in known][:2]
    return ((escape(free[0]), free[1]), (escape("\0"), free[0]))


def _make_run(model: Mapping[str, Any], places: Mapping[str, int]) -> UnknownRun:
    """Makes what neighbouring unknown pieces become."""
    unknown = model["vocab"][model["unk_id"]][0]
    ids = {text: token_id for token_id, (text, _) in enumerate(model["vocab"])}
    pieces = (0, places[unknown]) if unknown in places and ids[unknown] == model["unk_id"] else (0,)
    if not model.get("byte_fallback", False):
        return UnknownRun(pieces, unknown)
    return UnknownRun(pieces, unknown, tuple(ids.get(f"<0x{byte:02X}>", -1) for byte in range(256)))


def find_slope(vocabulary: list[tuple[str, float]]) -> float:
    """Returns minus the mean score of a character in a text that the model describes, on the grid.

    Args:
        vocabulary: Pairs of a piece and its score, the logarithm of its probability.
    """
    scored = [(len(text), float(score)) for text, score in vocabulary if score < 0 and text]
    total = sum(math.exp(score) * length for length, score in scored)
    if not total:
        return 0.0
    return to_grid(-sum(math.exp(score) * score for _, score in scored) / total)


def to_grid(score: float) -> float:
    """Rounds a score to a multiple of `2 ** -GRID_BITS`."""
    return round(score * 2**GRID_BITS) / 2**GRID_BITS
