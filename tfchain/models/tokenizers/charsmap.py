"""Reads the map of a `Precompiled` normalizer: sentencepiece's charsmap, a double-array trie and the texts it leads to.

The layout is that of Darts (https://github.com/s-yata/darts-clone), which sentencepiece writes.
"""

import base64
import binascii
import struct

import numpy as np

from tfchain.core.errors import InputError

LONGEST_KEY = 5  # bytes: Hugging Face looks up no longer graphemes
_HAS_VALUE = 1 << 8
_LABEL = 1 << 31 | 0xFF
_WITHOUT_LABEL = (1 << 31) - 1


def read_charsmap(encoded: str, longest: int = LONGEST_KEY) -> dict[str, str]:
    """Returns the texts that a charsmap replaces, with what takes their place.

    Args:
        encoded: `precompiled_charsmap` of tokenizer.json, in base64.
        longest: The most bytes of a key; longer ones are left out. Default: those that Hugging Face looks up.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        blob = base64.b64decode(encoded, validate=True)
        return _walk(blob, longest) if blob else {}
    except (ValueError, IndexError, struct.error, binascii.Error) as error:  # UnicodeDecodeError is a ValueError
        raise InputError(
            "`precompiled_charsmap` must be a charsmap of sentencepiece in base64, with UTF-8 keys. "
            f"Received: {len(encoded)} characters that cannot be read: {error}. Use the model's own tokenizer.json."
        ) from error


def _walk(blob: bytes, longest: int) -> dict[str, str]:
    """Follows all labels at once, one more byte of the keys in each turn."""
    (size,) = struct.unpack_from("<I", blob)
    units = np.frombuffer(blob, "<u4", size // 4, 4).astype(np.int64)
    texts = blob[4 + size :]
    labels = np.arange(1, 256)
    nodes, keys = _offsets(units[:1]), [b""]
    replacements: dict[str, str] = {}
    for _ in range(longest):
        places = nodes[:, np.newaxis] ^ labels  # (nodes, 255)
        children = units[np.minimum(places, len(units) - 1)]
        node, label = np.nonzero((places < len(units)) & (children & _LABEL == labels))
        found = children[node, label]
        nodes = places[node, label] ^ _offsets(found)
        keys = [keys[parent] + bytes([byte + 1]) for parent, byte in zip(node.tolist(), label.tolist(), strict=True)]
        for index in np.flatnonzero(found & _HAS_VALUE).tolist():
            start = int(units[nodes[index]]) & _WITHOUT_LABEL
            replacements[keys[index].decode()] = texts[start : texts.index(b"\0", start)].decode()
    return replacements


def _offsets(units: np.ndarray) -> np.ndarray:
    """Returns where the children of nodes are."""
    offsets: np.ndarray = (units >> 10) << ((units & 1 << 9) >> 6)
    return offsets
