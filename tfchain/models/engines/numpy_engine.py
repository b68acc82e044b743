"""The engine `numpy`: runs a static encoder, whose vectors are means of a table's rows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.encoders.blocks.static import TABLE
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.engines.engine import Computation
from tfchain.models.engines.native_encoder import make_modules
from tfchain.models.weights.stored_encoder import StoredEncoder
from tfchain.models.weights.stored_weights import quantize_rows


class NumpyEngine:
    """Computes a static encoder's vectors in NumPy: a query takes microseconds.

    In int8, the table has 8 bits with a scale for each row; in float16 it has 16 bits. Sums are in float32.

    Args:
        computation: A computation for which `find_obstacle` returns None. Its weights are copied.
    """

    label = "NumPy"

    def __init__(self, computation: Computation) -> None:
        encoder, config = computation.shared.weights, computation.shared.config
        assert config is not None
        weights = encoder if isinstance(encoder, StoredEncoder) else KerasWeights(encoder)
        table = np.asarray(weights[TABLE], dtype="float32")
        self._scales: np.ndarray | None = None
        if computation.precision == "int8":
            table, self._scales = quantize_rows(table)
        elif computation.precision == "float16":
            table = table.astype("float16")
        else:
            table = table.copy()
        self._table = table
        self._modules = make_modules(config, weights)

    @classmethod
    def find_obstacle(cls, computation: Computation) -> str | None:
        return find_obstacle_of_static(computation.shared.config)

    def encode(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        batch_size: int = 32,
        skipped: int = 0,
        progress: Callable[[int], Any] | None = None,
    ) -> np.ndarray | None:
        if not token_ids:
            return None
        if len(token_ids) == 1:
            vectors = self._average(token_ids[0][skipped:])[None]
        else:
            vectors = np.empty((len(token_ids), self._table.shape[1]), dtype="float32")
            for row, ids in enumerate(token_ids):
                vectors[row] = self._average(ids[skipped:])
        for module in self._modules:
            vectors = module(vectors)
        if progress is not None:
            progress(len(token_ids))
        return vectors

    def _average(self, ids: Sequence[int]) -> np.ndarray:
        """Returns the mean of a text's rows, float32 `(dim,)`; zeros for a text without tokens."""
        if not ids:
            return np.zeros(self._table.shape[1], dtype="float32")
        rows = self._table.take(ids, axis=0).astype("float32", copy=False)  # (tokens, dim)
        # A product with ones is a sum, several times as fast and more exact than NumPy's over rows.
        factors = np.ones(len(ids), dtype="float32") if self._scales is None else self._scales.take(ids)
        mean: np.ndarray = factors @ rows / np.float32(len(ids))
        return mean


def find_obstacle_of_static(config: EncoderConfig | None) -> str | None:
    """Returns why NumPy cannot run an encoder; None if it can."""
    if config is None or not config.transformer.is_static:
        return "the encoder has layers, and NumPy computes means of token vectors"
    if config.pooling.modes != ("mean",):
        return f"NumPy pools by the mean, not by {', '.join(config.pooling.modes)}"
    return None


def check_numpy(computation: Computation) -> None:
    """Checks that NumPy can run an encoder.

    Raises:
        InputError: if it cannot; the message says why.
    """
    obstacle = NumpyEngine.find_obstacle(computation)
    if obstacle is not None:
        raise InputError(
            f"`engine` 'numpy' cannot run this encoder: {obstacle}. Received: engine='numpy'. Use engine='auto'."
        )
