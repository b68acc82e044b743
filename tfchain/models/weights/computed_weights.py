"""An encoder's weights that are computed when they are read, so that memory holds one of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np


class ComputedWeights(Mapping[str, np.ndarray]):
    """Weights by path, each computed at every reading.

    Args:
        paths: The paths of all weights.
        compute: From a path to the array.

    Example:
        >>> weights = ComputedWeights(["head/bias"], lambda path: np.zeros(2))
        >>> weights["head/bias"].tolist()
        [0.0, 0.0]
    """

    def __init__(self, paths: Iterable[str], compute: Callable[[str], np.ndarray]) -> None:
        self._paths = tuple(paths)
        self._compute = compute

    def __getitem__(self, path: str) -> np.ndarray:
        if path not in self._paths:
            raise KeyError(path)
        return self._compute(path)

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)
