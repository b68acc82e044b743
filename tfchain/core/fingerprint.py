"""Fingerprints: hashes of content, which tie vectors to the model that made them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ArrayBlocks:
    """An array that is read some rows at a time.

    Args:
        dtype: The name of its type, as NumPy has it.
        shape: Its shape.
        blocks: Its rows, in order.
    """

    dtype: str
    shape: tuple[int, ...]
    blocks: Iterable[np.ndarray]


def make_fingerprint(configuration: Mapping[str, Any], arrays: Iterable[tuple[str, np.ndarray | ArrayBlocks]]) -> str:
    """Hashes a configuration and named arrays.

    Args:
        configuration: Plain values; the order of the keys does not matter.
        arrays: `(name, array)` pairs; their order matters. Blocks give the hash of the array that they make.

    Returns:
        64 hexadecimal digits (SHA-256).
    """
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True, ensure_ascii=False).encode())
    for name, array in arrays:
        whole = ArrayBlocks(array.dtype.name, array.shape, (array,)) if isinstance(array, np.ndarray) else array
        digest.update(f"\0{name}\0{whole.dtype}\0{whole.shape}\0".encode())
        for block in whole.blocks:
            # For bfloat16: hash the dtype's name, as its `str` is a nameless `<V2`, and view it as uint8 for a buffer.
            little = block.astype(block.dtype.newbyteorder("<"), copy=False)
            digest.update(np.ascontiguousarray(little).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
