"""A version that an engine of tfchain's own answers, and the SavedModel only what the engine does not take."""

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfchain.core.errors import TfchainError
from tfchain.core.native import NATIVE_FOLDER, Answer, NativeEngine
from tfchain.deployment.server.servables.deadline import Deadline
from tfchain.deployment.server.servables.servable import Servable, Signature, WrappedServable
from tfchain.deployment.server.status import Code, StatusError, invalid_argument

logger = logging.getLogger(__name__)


class NativeServable(WrappedServable):
    """A SavedModel with functions in place of some of its signatures; see `Servable` for its methods.

    The signatures are the SavedModel's. Requests that a function leaves to it (other data types, mismatched shapes,
    texts that are not UTF-8, no text) go to the SavedModel unchanged, so that errors have its codes and texts.

    Args:
        saved_model: The version's SavedModel, usually a `LazySavedModel`; `close` closes it.
        answers: Signature → function; those of other signatures are left out.

    Attributes:
        num_failures: The number of valid requests that a function failed to answer, and that the SavedModel answered.
    """

    def __init__(self, saved_model: Servable, answers: Mapping[str, Answer]) -> None:
        super().__init__(saved_model)
        self._answers = {name: answer for name, answer in answers.items() if name in saved_model.signatures}
        self._lock = threading.Lock()
        self.num_failures = 0

    @property
    def answered(self) -> frozenset[str]:
        """The signatures that the engine answers."""
        return frozenset(self._answers)

    @property
    def is_worth_batching(self) -> bool:
        """Whether the server should join the texts of several clients: no, the engine does not pad, and runs beside."""
        return False

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        """Runs a signature, on the engine if it takes the request."""
        answer = self._answers.get(signature.name)
        if answer is None:
            return self._servable.run(signature, inputs, outputs, timeout_ms)
        deadline = Deadline(timeout_ms)
        try:
            values = answer(inputs, outputs, deadline.left_ms)
        except StatusError:
            raise
        except (TfchainError, ValueError, LookupError, OSError, MemoryError) as error:
            with self._lock:
                self.num_failures += 1
            logger.warning("The native engine failed, and the SavedModel answers %s: %s", signature.name, error)
            values = None
        left_ms = deadline.left_ms()
        if values is None:
            return self._servable.run(signature, inputs, outputs, left_ms)
        return list(values)


def load_native_answers(
    path: Path, engine: NativeEngine | None, *, num_threads: int | None = None
) -> Mapping[str, Answer]:
    """Reads a version's functions for an engine.

    Args:
        path: The version's folder.
        engine: The engine; None if the program has none.
        num_threads: The most threads of a call. Default: one per core.

    Raises:
        StatusError: if the engine cannot run here, or the version has no files for it, or damaged ones.
    """
    if engine is None:
        raise StatusError(Code.UNIMPLEMENTED, "this program has no native engine; start tfchain-model-server")
    obstacle = engine.find_obstacle()
    if obstacle is not None:
        raise StatusError(Code.FAILED_PRECONDITION, f"the native engine cannot run here: {obstacle}")
    folder = path / NATIVE_FOLDER
    if not folder.is_dir():
        raise StatusError(
            Code.FAILED_PRECONDITION,
            f"{path} has no files for the native engine, which Quantize('int8') before an export on a machine with the "
            "engine gives it",
        )
    try:
        return engine.load(folder, num_threads=num_threads)
    except (TfchainError, MemoryError) as error:
        raise invalid_argument(str(error)) from error
