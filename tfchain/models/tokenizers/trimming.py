"""Leaves pieces out of a tokenizer's vocabulary: the content of tokenizer.json in, a smaller one out."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tfchain.core.errors import InputError

MODELS = ("WordPiece", "Unigram", "BPE", "WordLevel")
BYTE_FALLBACK = tuple(f"<0x{byte:02X}>" for byte in range(256))


class Vocabulary:
    """The pieces of a tokenizer, and which of them need which others.

    Args:
        parts: The content of tokenizer.json. It is not changed.

    Raises:
        InputError: if the tokenizer's model is of another kind.

    Attributes:
        ids: Piece → id, added tokens included.
        added: The ids of the added tokens, special ones among them.
    """

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self.parts = parts
        self._model = parts["model"]
        kind = self._model.get("type")
        if kind not in MODELS:
            raise InputError(
                f"A vocabulary is trimmed of a tokenizer whose model is one of {', '.join(MODELS)}. Received: {kind}. "
                "Leave the recipe out."
            )
        vocabulary = self._model["vocab"]
        self._own_ids: dict[str, int] = (
            {piece: number for number, (piece, _) in enumerate(vocabulary)} if kind == "Unigram" else dict(vocabulary)
        )
        self.added = {int(token["id"]) for token in parts["added_tokens"]}
        self.ids = {**self._own_ids, **{token["content"]: int(token["id"]) for token in parts["added_tokens"]}}
        self._is_bytes = _has_byte_level(parts)

    def to_text(self, piece: str) -> str | None:
        """What a piece stands for in a text; None for bytes that are a part of a character."""
        if self._is_bytes:
            try:
                return bytes(BYTE_OF[character] for character in piece).decode()
            except (KeyError, UnicodeDecodeError):
                return None
        if self._model["type"] == "WordPiece":
            return piece.removeprefix(self._model.get("continuing_subword_prefix") or "##")
        if self._model["type"] == "BPE":
            piece = piece.removeprefix(self._model.get("continuing_subword_prefix") or "")
            return piece.removesuffix(self._model.get("end_of_word_suffix") or "").replace("▁", " ").strip(" ") or piece
        return piece.lstrip("▁") or piece

    def always_kept(self) -> set[int]:
        """The ids that a tokenizer needs whatever the texts: added tokens, the unknown piece, single bytes.

        Of a Unigram model also the piece of the least score, from which the cost of what is unknown is counted.
        """
        kept = set(self.added)
        unknown = self._model.get("unk_token")
        if unknown in self._own_ids:
            kept.add(self._own_ids[unknown])
        if self._model["type"] == "Unigram":
            scores = [score for _, score in self._model["vocab"]]
            kept.add(min(range(len(scores)), key=scores.__getitem__))
            if self._model.get("unk_id") is not None:
                kept.add(int(self._model["unk_id"]))
        if self._model.get("byte_fallback"):
            kept.update(self.ids[piece] for piece in BYTE_FALLBACK if piece in self.ids)
        if self._is_bytes:
            kept.update(number for piece, number in self.ids.items() if len(piece) == 1)
        return kept

    def with_parts(self, kept: Iterable[int]) -> set[int]:
        """The ids, and those of all pieces that merges make them of (BPE)."""
        found = set(kept)
        if self._model["type"] != "BPE":
            return found
        pieces = {number: piece for piece, number in self._own_ids.items()}
        made_of: dict[int, list[tuple[int, int]]] = {}
        for left, right in self._merges():
            made_of.setdefault(self._joined(left, right), []).append((self._own_ids[left], self._own_ids[right]))
        waiting = [number for number in found if number in pieces]
        while waiting:
            for pair in made_of.get(waiting.pop(), ()):
                waiting.extend(set(pair) - found)
                found.update(pair)
        return found

    def trim(self, kept: Iterable[int]) -> tuple[dict[str, Any], list[int]]:
        """Leaves out all other pieces.

        Args:
            kept: The ids to keep; those that `always_kept` and `with_parts` name are kept too.

        Returns:
            The content of the smaller tokenizer.json, and the old id of each new one: ids keep their order.
        """
        chosen = self.with_parts(self.always_kept() | set(kept)) & set(self.ids.values())
        old_ids = sorted(chosen)
        new_ids = {old: new for new, old in enumerate(old_ids)}
        made: dict[str, Any] = copy.deepcopy({name: value for name, value in self.parts.items() if name != "model"})
        model = {name: value for name, value in self._model.items() if name not in ("vocab", "merges")}
        if self._model["type"] == "Unigram":
            model["vocab"] = [entry for number, entry in enumerate(self._model["vocab"]) if number in chosen]
            if model.get("unk_id") is not None:
                model["unk_id"] = new_ids[model["unk_id"]]
        else:
            model["vocab"] = {piece: new_ids[number] for piece, number in self._own_ids.items() if number in chosen}
        if "merges" in self._model:
            model["merges"] = [
                [left, right] for left, right in self._merges() if self._joined(left, right) in chosen
            ]  # their parts are in `chosen`, too
        made["model"] = model
        for token in made["added_tokens"]:
            token["id"] = new_ids[token["id"]]
        if made.get("padding") is not None:
            made["padding"]["pad_id"] = new_ids.get(made["padding"]["pad_id"], 0)
        if made.get("post_processor") is not None:
            _renumber(made["post_processor"], new_ids)
        return made, old_ids

    def _merges(self) -> Iterator[tuple[str, str]]:
        for merge in self._model.get("merges", ()):
            left, right = merge.split(" ") if isinstance(merge, str) else merge  # a string in older files
            yield left, right

    def _joined(self, left: str, right: str) -> int:
        """The id of the piece that a merge makes."""
        return self._own_ids[left + right.removeprefix(self._model.get("continuing_subword_prefix") or "")]


def _has_byte_level(parts: Mapping[str, Any]) -> bool:
    """Whether pieces are written in GPT-2's characters for bytes."""
    steps = [parts.get("pre_tokenizer") or {}, parts.get("normalizer") or {}]
    for step in steps:  # Sequences are lists of further steps
        steps.extend(step.get("pretokenizers", ()))
        steps.extend(step.get("normalizers", ()))
    return any(step.get("type") == "ByteLevel" for step in steps)


def _renumber(processor: dict[str, Any], new_ids: Mapping[int, int]) -> None:
    """Puts new ids into a post-processor of tokenizer.json."""
    for inner in processor.get("processors", ()):
        _renumber(inner, new_ids)
    for name in ("cls", "sep"):  # of BertProcessing and RobertaProcessing
        if name in processor:
            token, number = processor[name]
            processor[name] = [token, new_ids[number]]
    for token in (processor.get("special_tokens") or {}).values():  # of TemplateProcessing
        token["ids"] = [new_ids[number] for number in token["ids"]]


def _list_bytes() -> dict[str, int]:
    """GPT-2's character for each byte: itself if it is printable, else one from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {
        **{chr(byte): byte for byte in printable},
        **{chr(256 + number): byte for number, byte in enumerate(others)},
    }


BYTE_OF = _list_bytes()
