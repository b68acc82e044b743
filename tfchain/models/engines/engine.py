"""What an engine is, and what it is made of."""

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
    """What is computed: an encoder in a precision. Its weights are taken for those that it had when this was made.

    Args:
        shared: The encoder.
        precision: What numbers it is computed with.
        calibration: Texts that ranges are measured on; None where activations are quantized as they come.
        pad_token_id: Fills shorter texts up.
        cache_key: The encoder's fingerprint, or what gives it; None where nobody can vouch for its weights.
    """

    shared: SharedModel
    precision: Precision = "float32"
    calibration: Calibration | None = None
    pad_token_id: int = 0
    cache_key: str | Callable[[], str] | None = None
    _compute_encoder: "keras.Model | None" = field(default=None, repr=False)

    @property
    def compute_encoder(self) -> "keras.Model":
        """What a TensorFlow graph computes with: the encoder, or its copy in `bfloat16` or calibrated `int8`."""
        if self._compute_encoder is None:
            self._compute_encoder = make_compute_copy(
                self.shared.model, self.precision, self.calibration, pad_token_id=self.pad_token_id
            )
        return self._compute_encoder

    def find_cache_key(self) -> str | None:
        """The encoder's fingerprint, which takes reading all weights the first time."""
        if callable(self.cache_key):
            self.cache_key = self.cache_key()
        return self.cache_key


class Engine(Protocol):
    """Runs an encoder on lists of token ids. It is made of a `Computation`, and of its weights as they are then."""

    label: str  # its name in a log

    def __init__(self, computation: Computation) -> None:
        """Prepares what every text needs; a `TfchainError` says that it cannot."""

    @classmethod
    def find_obstacle(cls, computation: Computation) -> str | None:
        """Why another engine of the table would do better, where there is one; None if it is this one's turn."""

    def encode(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        batch_size: int = 32,
        skipped: int = 0,
        progress: Callable[[int], Any] | None = None,
    ) -> np.ndarray | None:
        """Vectors float32 `(texts, dim)`, in the order given; None where there is no text.

        Args:
            token_ids: Each text's ids, not padded.
            batch_size: The most texts in one step. Default: 32.
            skipped: How many of each text's first tokens pooling leaves out. Default: 0.
            progress: Called with the number of texts done after each step. Default: not.
        """
