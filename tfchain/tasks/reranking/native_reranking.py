"""Reranking in a version by tfchain's own kernels: the scores of their outputs, without TensorFlow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.tasks.native_version import Finish
from tfchain.tasks.reranking.scoring import activate


def load_reranking(_: Path, settings: Mapping[str, Any]) -> Finish:
    """Returns the function from outputs to the answer: scores, as the version's graph gives them."""
    activation = settings["activation"]

    def answer(found: np.ndarray, outputs: Sequence[str], _: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        squeezed = found[:, 0] if found.shape[1] == 1 else found
        values = {"score": activate(squeezed, activation), "output": squeezed}
        return [values[name] for name in outputs]

    return answer
