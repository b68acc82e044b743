"""The engine `native`: runs an encoder in int8 on the project's own kernels."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.engines.engine import Computation, Engine
from tfchain.models.engines.native_encoder import NativeEncoder, find_obstacle_of
from tfchain.runtime.litert import count_cores


class NativeEngine:
    """Runs an encoder in int8 with a thread per core; needs neither Keras nor TensorFlow for an encoder in a folder.

    Args:
        computation: A computation for which `find_obstacle` returns None. Its weights are copied.
    """

    label = "tfchain's own kernels"

    def __init__(self, computation: Computation) -> None:
        self._computation = computation
        self._encoder = NativeEncoder(computation.shared.weights, num_threads=count_cores())
        config = computation.shared.config
        assert config is not None  # the kernels run only tfchain's own encoders
        self._pad_in_text = config.transformer.position_offset - 1  # inside a text, it shifts the positions after it
        self._tensorflow: Engine | None = None

    @classmethod
    def find_obstacle(cls, computation: Computation) -> str | None:
        return find_obstacle_of(computation.shared.weights)

    def encode(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        batch_size: int = 32,
        skipped: int = 0,
        progress: Callable[[int], Any] | None = None,
    ) -> np.ndarray | None:
        options: dict[str, Any] = {"batch_size": batch_size, "skipped": skipped, "progress": progress}
        if self._pad_in_text < 0 or not any(self._pad_in_text in ids for ids in token_ids):
            return self._encoder.encode(token_ids, **options)
        return self._encode_with_padding(token_ids, options)

    def _encode_with_padding(self, token_ids: Sequence[Sequence[int]], options: dict[str, Any]) -> np.ndarray:
        """Runs texts that contain the padding token in TensorFlow: the kernels count positions from the first token."""
        if self._tensorflow is None:
            from tfchain.models.engines.tensorflow_engine import TensorFlowEngine

            self._tensorflow = TensorFlowEngine(self._computation)
        has_padding = np.array([self._pad_in_text in ids for ids in token_ids])
        vectors = np.empty((len(token_ids), self._computation.shared.embedding_dim), dtype="float32")
        for engine, chosen in ((self._encoder, ~has_padding), (self._tensorflow, has_padding)):
            rows = np.flatnonzero(chosen).tolist()
            if rows:
                vectors[rows] = engine.encode([token_ids[row] for row in rows], **options)
        return vectors


def check_native(computation: Computation) -> None:
    """Checks that the kernels can run an encoder.

    Raises:
        InputError: if they cannot; the message says why.
    """
    obstacle = NativeEngine.find_obstacle(computation)
    if obstacle is not None:
        raise make_native_error(obstacle)


def make_native_error(obstacle: str) -> InputError:
    """Makes the error for `engine="native"` if the kernels cannot run."""
    return InputError(
        f"`engine` 'native' cannot run this encoder here: {obstacle}. Received: engine='native'. "
        "Use engine='auto', which then uses LiteRT."
    )
