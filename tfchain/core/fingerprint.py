"""Fingerprints: hashes of content, which tie vectors to the model that made them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def make_fingerprint(configuration: Mapping[str, Any], arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """Hashes a configuration and named arrays.

    Args:
        configuration: Plain values; the order of the keys does not matter.
        arrays: `(name, array)` pairs; their order matters.

    Returns:
        64 hexadecimal digits (SHA-256).
    """
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True, ensure_ascii=False).encode())
    for name, array in arrays:
        # For bfloat16: hash the dtype's name, as its `str` is a nameless `<V2`, and view it as uint8 to get a buffer.
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"\0{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(little).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
