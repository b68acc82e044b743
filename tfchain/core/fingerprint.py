"""Fingerprints: short names of content, that tie vectors to the model that made them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def make_fingerprint(configuration: Mapping[str, Any], arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """Hashes a configuration and named arrays.

    Args:
        configuration: Plain values; the order of the keys does not count.
        arrays: `(name, array)` pairs, whose order counts.

    Returns:
        64 hexadecimal digits (SHA-256).
    """
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True, ensure_ascii=False).encode())
    for name, array in arrays:
        # The dtype's name, as bfloat16's `str` is `<V2`, a nameless one; the bytes as uint8, as it has no buffer.
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"\0{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(little).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
