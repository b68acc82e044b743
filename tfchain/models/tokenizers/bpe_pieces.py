"""Makes a sentencepiece model of a BPE tokenizer's merges, which gives the same pieces of every text.

Hugging Face's BPE merges neighbours that its list of merges names, in the list's order. Sentencepiece merges neighbours
whose joined text is a piece, in the order of scores. Both do the same if the pieces are the characters and those texts
that their own merges turn into one piece, each with the place of its last merge as its score:

What a run does inside the span of two neighbours `x` and `y` is the beginning of what it does to the text `xy` alone,
because it always takes the first merge there is, and none crosses the span's ends. So if `xy` alone becomes one piece,
its last step must be the merge of `x` and `y`, which is then in the list; and if the merge of `x` and `y` is in the
list, `xy` alone becomes one piece. Either way both run the same merge at the same place in the order.

So each piece is tried with the tokenizer's own merges here. A piece that they do not give is never met in a text, and
is left out.

CLIP's tokenizers mark the end of a word: a word's last byte and `</w>` are one symbol from the start. In the model, the
boundary after a word stands for the mark. The pieces of a byte with the boundary have a score above all merges, so that
sentencepiece joins them before it does anything else; from there on both do the same.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfchain.models.tokenizers.graph_regex import SURROGATES, escape, to_class
from tfchain.models.tokenizers.hugging_face_parts import make_part_error
from tfchain.models.tokenizers.sentencepiece_model import Piece, PieceModel, make_sentencepiece_model

BOUNDARY_BYTE = b"\xff"  # between words, for a model that reads bytes; no UTF-8 has it
_END_FORMS = 0xF0000  # a byte's character at a word's end is this much further on, in a plane for private use
_END = BOUNDARY_BYTE.decode("latin-1")
_NO_UTF8 = frozenset(map(chr, (0xC0, 0xC1, *range(0xF5, 0x100))))  # bytes that no UTF-8 has
_UNKNOWN = "\u2047\u2047"  # sentencepiece needs a piece of this kind; two characters, so that no character is it


def read_bpe(parts: Mapping[str, Any]) -> PieceModel:
    """Makes the sentencepiece model of a BPE tokenizer.

    Args:
        parts: The content of tokenizer.json.

    Raises:
        InputError: if the tokenizer has a part that the model cannot express.
    """
    for name in ("dropout", "continuing_subword_prefix"):
        if parts["model"][name]:
            raise make_part_error(f"`{name}`", "none", repr(parts["model"][name]))
    reads_bytes = _has_byte_level(parts["pre_tokenizer"])
    parts = _with_end_forms(parts, reads_bytes)
    model = parts["model"]
    scores = find_scores(parts)
    vocabulary: dict[str, int] = model["vocab"]
    known = {token: token_id for token, token_id in vocabulary.items() if len(token) == 1 or token in scores}
    words = {token: token_id for token, token_id in vocabulary.items() if token not in known}
    made = (_make_of_bytes if reads_bytes else _make_of_characters)(model, known, scores)
    if not model.get("ignore_merges"):
        return made
    texts = {token: _to_bytes_text(token) if reads_bytes else token for token in words}
    whole = tuple((text, words[token]) for token, text in texts.items() if text is not None)
    return dataclasses.replace(made, whole_words=whole)


def _with_end_forms(parts: Mapping[str, Any], reads_bytes: bool) -> Mapping[str, Any]:
    """Returns a tokenizer without a suffix for the end of words: a byte and the suffix are one character instead."""
    model = parts["model"]
    suffix = model["end_of_word_suffix"]
    if not suffix:
        return parts
    if not reads_bytes or model.get("ignore_merges"):
        raise make_part_error("`end_of_word_suffix`", "one of a byte-level tokenizer that merges", repr(suffix))

    def change(token: str) -> str:
        body = token.removesuffix(suffix)
        if body in ("", token):
            return token
        return body[:-1] + chr(ord(body[-1]) + _END_FORMS)

    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    vocabulary = {change(token): token_id for token, token_id in model["vocab"].items()}
    changed = {
        "vocab": vocabulary,
        "merges": [[change(left), change(right)] for left, right in merges],
        "end_of_word_suffix": None,
        "unk_token": None,  # no byte is unknown
    }
    lacking = [chr(code + _END_FORMS) for code in _BYTES if chr(code + _END_FORMS) not in vocabulary]
    if lacking:
        raise make_part_error("vocabulary", f"each byte with {suffix!r}", f"one without {len(lacking)} of them")
    return {**parts, "model": {**model, **changed}}


def find_scores(parts: Mapping[str, Any]) -> dict[str, int]:
    """Returns the pieces that merges make, each with minus the rank of its last merge.

    Args:
        parts: The content of tokenizer.json.
    """
    vocabulary: dict[str, int] = parts["model"]["vocab"]
    ranks: dict[tuple[str, str], int] = {}
    for rank, merge in enumerate(parts["model"]["merges"]):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        ranks[left, right] = rank
    tokens = sorted({left + right for left, right in ranks})
    plain = {**parts["model"], "ignore_merges": False, "byte_fallback": False}
    made = _tokenize(plain, tokens)
    pieces = {token for token, ids in zip(tokens, made, strict=True) if ids == [vocabulary[token]]}
    candidates: dict[str, list[tuple[int, str]]] = {}
    for (left, right), rank in ranks.items():
        if left + right in pieces and all(len(part) == 1 or part in pieces for part in (left, right)):
            candidates.setdefault(left + right, []).append((rank, left))
    owners = {rank: token for token, merges in candidates.items() for rank, _ in merges}
    scores = {}
    for token, merges in candidates.items():
        merges.sort()
        rank = merges[0][0]
        if any(owners.get(between, token) != token for between in range(rank, merges[-1][0])):
            last = _find_last_merge(token, ranks)
            rank = next(rank for rank, left in merges if left == last)
        scores[token] = -rank
    return scores


def _tokenize(model: Mapping[str, Any], texts: Sequence[str]) -> list[list[int]]:
    """Returns the ids of texts by merges alone."""
    from tokenizers import Tokenizer

    parts: dict[str, Any] = {
        **dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")),
        "version": "1.0",
        "added_tokens": [],
        "model": model,
    }
    tokenizer = Tokenizer.from_str(json.dumps(parts))
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def _find_last_merge(token: str, ranks: Mapping[tuple[str, str], int]) -> str:
    """Returns the left half of the last merge that makes a piece."""
    symbols = list(token)
    while len(symbols) > 2:
        pairs = list(itertools.pairwise(symbols))
        place = min(range(len(pairs)), key=lambda index: (ranks.get(pairs[index], len(ranks)), index))
        symbols[place : place + 2] = ["".join(pairs[place])]
    return symbols[0]


def _make_of_bytes(model: Mapping[str, Any], known: Mapping[str, int], scores: Mapping[str, int]) -> PieceModel:
    """Makes a model whose characters are bytes; bytes that the vocabulary lacks are unknown."""
    texts = {
        token: text
        for token in known
        if (text := _to_bytes_text(token)) is not None and _NO_UTF8.isdisjoint(text[:-1] if _is_marked(token) else text)
    }
    pieces = [(text, known[token], scores.get(token, 0)) for token, text in texts.items()]
    ends_words = any(_is_end_form(token) for token in texts)
    if ends_words:  # a byte and the boundary come together before all merges
        pieces = [(text, known[token], scores.get(token, int(_is_end_form(token)))) for token, text in texts.items()]
    bytes_of_texts = {chr(byte) for byte in range(256)} - _NO_UTF8
    lacking = sorted(bytes_of_texts.difference(texts.values()))
    pieces.append((_END, -1, 0))
    unknown = to_class(frozenset(map(ord, lacking))) if lacking else None
    made = _make(model, pieces, unknown=unknown, reads_bytes=True)
    return dataclasses.replace(made, ends_words=ends_words)


def _make_of_characters(model: Mapping[str, Any], known: Mapping[str, int], scores: Mapping[str, int]) -> PieceModel:
    """Makes a model of a text's characters, whose unknown ones become bytes or the unknown token."""
    pieces = [(token, token_id, scores.get(token, 0)) for token, token_id in known.items()]
    unknown = None
    if not model.get("byte_fallback"):
        characters = "".join(escape(token) for token in known if len(token) == 1)
        unknown = f"[^{characters}{SURROGATES}]"
    return _make(model, pieces, unknown=unknown, reads_bytes=False)


def _make(
    model: Mapping[str, Any], entries: Iterable[tuple[str, int, int]], *, unknown: str | None, reads_bytes: bool
) -> PieceModel:
    """Makes a model of pieces, each with its token id and its score.

    Args:
        model: tokenizer.json's `model`.
        entries: The pieces.
        unknown: The pattern of the characters that are no pieces, where bytes do not stand for them; None if none is.
        reads_bytes: As in `PieceModel`.
    """
    entries = list(entries)
    pieces = [Piece(_UNKNOWN, kind="unknown"), *(Piece(text, score) for text, _, score in entries)]
    token_ids = [0, *(token_id for _, token_id, _ in entries)]
    stand_in = ""
    falls_back = bool(model.get("byte_fallback")) and not reads_bytes
    if falls_back:
        names = [f"<0x{byte:02X}>" for byte in range(256)]
        pieces += [Piece(name, kind="byte") for name in names]
        token_ids += [_find_id(name, model) for name in names]
    if unknown is not None and model["unk_token"] is not None:
        unknown_id = _find_id(model["unk_token"], model)
        if model["fuse_unk"]:
            token_ids[0] = unknown_id  # sentencepiece joins unknown characters that are neighbours
            unknown = None
        else:
            texts = {text for text, _, _ in entries}
            stand_in = next(character for code in range(0xE000, 0x110000) if (character := chr(code)) not in texts)
            pieces.append(Piece(stand_in))
            token_ids.append(unknown_id)
    proto = make_sentencepiece_model(pieces, algorithm="bpe", byte_fallback=falls_back)
    return PieceModel(proto, np.array(token_ids, np.int32), reads_bytes, unknown, stand_in)


def _find_id(token: str, model: Mapping[str, Any]) -> int:
    if token not in model["vocab"]:
        raise make_part_error("vocabulary", f"the token {token!r}", "none")
    return int(model["vocab"][token])


def _has_byte_level(spec: Mapping[str, Any] | None) -> bool:
    if spec is None:
        return False
    return spec["type"] == "ByteLevel" or any(map(_has_byte_level, spec.get("pretokenizers", ())))


def _make_byte_characters() -> dict[int, int]:
    """Returns GPT-2's characters for bytes, for `str.translate`: printable ones stay, others come after U+00FF."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [byte for byte in range(256) if byte not in kept]
    return {**{byte: byte for byte in kept}, **{0x100 + index: byte for index, byte in enumerate(moved)}}


_BYTES = _make_byte_characters()


def _is_marked(token: str) -> bool:
    """Returns whether a token ends a word."""
    return bool(token) and ord(token[-1]) >= _END_FORMS


def _is_end_form(token: str) -> bool:
    """Returns whether a token is one byte at a word's end."""
    return len(token) == 1 and _is_marked(token)


def _to_bytes_text(token: str) -> str | None:
    """Turns GPT-2's characters into U+0000 to U+00FF; returns None for a token that has other characters.

    A character at a word's end becomes two: itself, and the boundary.
    """
    if _is_marked(token):
        body = _to_bytes_text(token[:-1] + chr(ord(token[-1]) - _END_FORMS))
        return None if body is None else body + _END
    return token.translate(_BYTES) if all(ord(character) in _BYTES for character in token) else None
