"""Sketches: MinHash signatures of texts, by rensa, and the keys that bring similar ones together. rensa's one door."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, MissingPackageError

Sketches = np.ndarray[Any, np.dtype[np.uint16]]
Keys = np.ndarray[Any, np.dtype[np.uint64]]

NUM_SLOTS = 256
SEED = 42
FOUND = 0.97  # the least probability with which a pair at the threshold becomes a candidate


def make_sketches(shingles: Sequence[Sequence[str]], num_slots: int = NUM_SLOTS) -> Sketches:
    """Computes MinHash signatures, whose share of equal slots estimates the Jaccard similarity of two texts.

    Each slot keeps 16 bits of its minimum: different minima then look equal once in 65,536 times, which is far below
    the estimate's own error of `sqrt(J (1 - J) / num_slots)`, 0.03 at most with 256 slots. The idea is that of b-bit
    MinHash (Li and König 2010, https://arxiv.org/abs/0910.3349); the signatures are rensa's R-MinHash.

    Args:
        shingles: Each text's shingles; at least one.
        num_slots: Slots of a signature. Default: 256.

    Returns:
        Signatures. `(len(shingles), num_slots)`

    Raises:
        MissingPackageError: if rensa is not installed.
    """
    rensa = load_rensa()
    if not shingles:
        return np.empty((0, num_slots), np.uint16)
    rows = rensa.RMinHash.digests_from_token_sets(shingles, num_slots, SEED)
    return np.array(rows, np.uint32).astype(np.uint16)


def sketch_version() -> int:
    """Returns the version of rensa's algorithm: signatures of different versions cannot be compared."""
    return int(load_rensa().RMinHash.ALGORITHM_VERSION)


def choose_rows(threshold: float, num_slots: int = NUM_SLOTS) -> int:
    """Returns how many slots make a band: as many as find pairs at the threshold with a probability of 0.97.

    Two texts are candidates if all slots of a band are equal, which happens with `1 - (1 - J^rows)^bands`. More rows
    mean fewer candidates to compare.

    Example:
        >>> choose_rows(0.35), choose_rows(0.8)
        (3, 9)
    """
    rows = [rows for rows in range(1, 33) if 1 - (1 - threshold**rows) ** (num_slots // rows) >= FOUND]
    return max(rows, default=1)


def make_band_keys(sketches: Sketches, rows: int, bits: int = 64) -> Keys:
    """Hashes each band of a signature, together with its number, to a key of `bits` bits.

    Args:
        sketches: Signatures. `(n, num_slots)`
        rows: Slots of a band. Slots that are left over belong to no band.
        bits: Bits of a key. Default: 64.

    Returns:
        Keys. `(n, num_slots // rows)`
    """
    bands = sketches.shape[1] // rows
    slots = sketches[:, : bands * rows].reshape(len(sketches), bands, rows).astype(np.uint64)
    keys = np.broadcast_to(np.arange(bands, dtype=np.uint64), (len(sketches), bands))
    for row in range(rows):
        keys = mix(keys * np.uint64(65536) + slots[:, :, row])
    return keys >> np.uint64(64 - bits)


def mix(values: Keys) -> Keys:
    """Spreads 64-bit values by SplitMix64's finalizer (Steele, Lea and Flood 2014), a bijection."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def check_threshold(threshold: float) -> None:
    """Raises an InputError if a threshold is not in (0, 1]."""
    if not isinstance(threshold, int | float) or isinstance(threshold, bool) or not 0 < threshold <= 1:
        raise InputError(
            f"`threshold` must be in (0, 1]. Received: threshold={threshold!r}. Use 0.8 to find texts that share four "
            "of five shingles.",
            argument="threshold",
        )


def load_rensa() -> Any:
    """Imports rensa.

    Raises:
        MissingPackageError: if it is not installed.
    """
    try:
        import rensa
    except ImportError as error:
        raise MissingPackageError(
            f"Near-duplicates need the package rensa. Received: {error}. Install it with `pip install 'tfchain[data]'`."
        ) from error
    return rensa
