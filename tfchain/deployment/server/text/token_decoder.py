"""Texts of tokens, as the decoders of Hugging Face's tokenizers write them."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

# What the WordPiece decoder replaces in each token.
_CLEANED = {
    **{f" {mark}": mark for mark in (".", "?", "!", ",")},
    " ' ": "'",
    **{f" {end}": end for end in ("n't", "'m", "'s", "'ve", "'re")},
}


def decode_tokens(tokens: Sequence[str], decoder: Mapping[str, Any] | None) -> str:
    """Returns the text of tokens.

    Args:
        tokens: The tokens in order.
        decoder: tokenizer.json's `decoder`; None joins the tokens by spaces, and so does a kind that is not known here.
    """
    if decoder is None or not _is_known(decoder):
        return " ".join(tokens)
    return "".join(_decode(tokens, decoder))


def _is_known(decoder: Mapping[str, Any]) -> bool:
    if decoder.get("type") == "Replace" and "String" not in decoder["pattern"]:
        return False
    return decoder.get("type") in _DECODERS and all(map(_is_known, decoder.get("decoders", ())))


def _decode(tokens: Sequence[str], decoder: Mapping[str, Any]) -> list[str]:
    return _DECODERS[decoder["type"]](tokens, decoder)


def _decode_sequence(tokens: Sequence[str], decoder: Mapping[str, Any]) -> list[str]:
    for step in decoder["decoders"]:
        tokens = _decode(tokens, step)
    return list(tokens)


def _decode_wordpiece(tokens: Sequence[str], decoder: Mapping[str, Any]) -> list[str]:
    continues = decoder.get("prefix", "##")
    parts = []
    for place, token in enumerate(tokens):
        part = token.removeprefix(continues) if place and token.startswith(continues) else f"{' ' * bool(place)}{token}"
        for dirty, clean in _CLEANED.items() if decoder.get("cleanup", True) else ():
            part = part.replace(dirty, clean)
        parts.append(part)
    return parts


def _decode_byte_level(tokens: Sequence[str], decoder: Mapping[str, Any]) -> list[str]:
    """Turns GPT-2's characters for bytes into these; a token with other characters is its own text."""
    written = b"".join(
        bytes(_BYTES[character] for character in token) if all(map(_BYTES.__contains__, token)) else token.encode()
        for token in tokens
    )
    return [written.decode(errors="replace")]


def _decode_metaspace(tokens: Sequence[str], decoder: Mapping[str, Any]) -> list[str]:
    mark, is_kept = decoder.get("replacement", "▁"), decoder.get("prepend_scheme") == "never"
    return [token.replace(mark, " " if place or is_kept else "") for place, token in enumerate(tokens)]


def _decode_replace(tokens: Sequence[str], decoder: Mapping[str, Any]) -> list[str]:
    ((_, pattern),) = decoder["pattern"].items()
    return [token.replace(pattern, decoder["content"]) for token in tokens]


def _decode_byte_fallback(tokens: Sequence[str], decoder: Mapping[str, Any]) -> list[str]:
    """Joins tokens for bytes (`<0x41>`); bytes that are not UTF-8 become U+FFFD each."""
    parts: list[str] = []
    for is_byte, run in itertools.groupby(tokens, _is_byte):
        if not is_byte:
            parts += run
            continue
        written = bytes(int(token[3:5], 16) for token in run)
        try:
            parts.append(written.decode())
        except UnicodeDecodeError:
            parts += ["\ufffd"] * len(written)
    return parts


def _decode_fuse(tokens: Sequence[str], decoder: Mapping[str, Any]) -> list[str]:
    return ["".join(tokens)]


def _decode_strip(tokens: Sequence[str], decoder: Mapping[str, Any]) -> list[str]:
    """Takes some characters off both ends of each token."""
    content, parts = decoder["content"], []
    for token in tokens:
        begins = _count(token[: decoder["start"]], content)
        ends = _count(token[::-1][: decoder["stop"]], content)
        parts.append(token[begins : max(begins, len(token) - ends)])
    return parts


def _count(characters: Iterable[str], wanted: str) -> int:
    """Returns how many first characters are the wanted one."""
    return sum(1 for _ in itertools.takewhile(lambda character: character == wanted, characters))


def _is_byte(token: str) -> bool:
    if len(token) != 6 or not (token.startswith("<0x") and token.endswith(">")):
        return False
    return all(character in "0123456789abcdefABCDEF" for character in token[3:5])


def _make_byte_characters() -> dict[str, int]:
    """Returns GPT-2's characters for bytes: printable ones stay, the others come after U+00FF."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [byte for byte in range(256) if byte not in kept]
    return {chr(byte): byte for byte in kept} | {chr(0x100 + place): byte for place, byte in enumerate(moved)}


_BYTES = _make_byte_characters()
_DECODERS: dict[str, Callable[[Sequence[str], Mapping[str, Any]], list[str]]] = {
    "Sequence": _decode_sequence,
    "WordPiece": _decode_wordpiece,
    "ByteLevel": _decode_byte_level,
    "Metaspace": _decode_metaspace,
    "Replace": _decode_replace,
    "ByteFallback": _decode_byte_fallback,
    "Fuse": _decode_fuse,
    "Strip": _decode_strip,
}
