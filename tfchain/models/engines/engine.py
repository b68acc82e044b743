"""The engine protocol, and the computation from which an engine is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tfchain.models.engines.calibration import Calibration
from tfchain.models.engines.compute_copy import make_compute_copy
from tfchain.models.precision import Precision
from tfchain.models.shared_model import SharedModel

if TYPE_CHECKING:
    import keras


@dataclass
class Computation:
    """An encoder and the precision in which to compute it; the encoder's weights must not change afterwards.

    Args:
        shared: The encoder.
        precision: The precision of the computation. Default: `float32`.
        calibration: Texts on which ranges are measured. Default: None, activations are quantized dynamically.
        pad_token_id: The id that pads shorter texts. Default: 0.
        cache_key: The encoder's fingerprint, or a function that returns it. Default: None, the weights may change.
    """

    shared: SharedModel
    precision: Precision = "float32"
    calibration: Calibration | None = None
    pad_token_id: int = 0
    cache_key: str | Callable[[], str] | None = None
    _compute_encoder: "keras.Model | None" = field(default=None, repr=False)

    @property
    def compute_encoder(self) -> "keras.Model":
        """The model for a TensorFlow graph: the encoder, or its copy in `bfloat16` or calibrated `int8`."""
        if self._compute_encoder is None:
            self._compute_encoder = make_compute_copy(
                self.shared.model, self.precision, self.calibration, pad_token_id=self.pad_token_id
            )
        return self._compute_encoder

    def find_cache_key(self) -> str | None:
        """Returns the encoder's fingerprint, or None; the first call may read all weights."""
        if callable(self.cache_key):
            self.cache_key = self.cache_key()
        return self.cache_key


class Engine(Protocol):
    """Runs an encoder on lists of token ids, with the weights that it has when the engine is made."""

    label: str  # its name in a log

    def __init__(self, computation: Computation) -> None:
        """Prepares what every text needs; raises a `TfchainError` if the engine cannot run the encoder."""

    @classmethod
    def find_obstacle(cls, computation: Computation) -> str | None:
        """Returns why to use the precision's next engine, if there is one, instead; None to use this engine."""

    def encode(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        batch_size: int = 32,
        skipped: int = 0,
        progress: Callable[[int], Any] | None = None,
    ) -> np.ndarray | None:
        """Returns vectors float32 `(texts, dim)`, in the order given, or None if there are no texts.

        Args:
            token_ids: The ids of each text, without padding.
            batch_size: The maximum number of texts in a step. Default: 32.
            skipped: How many of each text's first tokens pooling leaves out. Default: 0.
            progress: Called after each step with its number of texts. Default: not called.
        """
