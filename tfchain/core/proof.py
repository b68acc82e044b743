"""A question with its expected answer: an exported version must give that answer before it is published."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Proof:
    """Inputs of a signature and the outputs that Python computed for them.

    Args:
        signature: The signature's name.
        inputs: Input name → array; texts as arrays of bytes objects.
        outputs: Output name → array. Numbers may differ by `tolerance`, texts and booleans may not.
        ties: Where texts and booleans may differ, because two answers are equally good but for rounding: output name →
            booleans of the output's shape. Default: nowhere.
        is_warm_up: Whether the version also keeps the inputs as a warm-up request. Default: True.
        tolerance: How much numbers may differ, relative to the largest if that is above 1: the rounding error of the
            precision they are computed in. Default: 1e-5, for float32.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    ties: Mapping[str, np.ndarray] = field(default_factory=dict)
    is_warm_up: bool = True
    tolerance: float = TOLERANCE
