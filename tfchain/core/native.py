"""The parts of a version for an engine of tfchain's own, which the embedded server runs in place of the SavedModel."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tfchain.core.proof import Proof

NATIVE_FOLDER = "assets.extra/tfchain_native"  # in a version's folder

# From a signature's inputs, the names of the outputs to compute, and a function that raises when the time is up, to the
# outputs' values in that order. None if the SavedModel must answer this request.
Answer = Callable[[Mapping[str, np.ndarray], Sequence[str], Callable[[], object]], Sequence[np.ndarray] | None]


class LoadAnswers(Protocol):
    """Reads an engine's folder in a version."""

    def __call__(self, path: Path, *, num_threads: int | None = None) -> Mapping[str, Answer]:
        """Returns the signatures that the engine answers, as functions.

        Args:
            path: The folder.
            num_threads: The most threads of a call. Default: one per core of this process.

        Raises:
            TfchainError: if a file is missing or damaged.
        """


@dataclass(frozen=True)
class NativeEngine:
    """An engine that answers some signatures of a version without TensorFlow.

    `tfchain.deployment` runs it and knows nothing of it: the program that starts the server hands it in.

    Args:
        find_obstacle: Returns why the engine cannot run in this process; None if it can.
        load: Reads the engine's folder in a version.
    """

    find_obstacle: Callable[[], str | None]
    load: LoadAnswers


@dataclass(frozen=True)
class NativeParts:
    """The files of such an engine in a version that is to be written.

    Args:
        write: Writes them into an empty folder.
        load: As in `NativeEngine`.
        proofs: Questions with the answers that the engine must give.
    """

    write: Callable[[Path], None]
    load: LoadAnswers
    proofs: Sequence[Proof]
