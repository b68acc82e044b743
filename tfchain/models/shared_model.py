"""A model shared by text encoders, which notice when its weights change: a few small weights are checked per query.

A model that tfchain has read from a folder is private, and is not checked, until someone requests it.
"""

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.core.shared_lock import SharedLock
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.weights.stored_encoder import StoredEncoder

if TYPE_CHECKING:
    import keras


class SharedModel:
    """An encoder that one or more text encoders run, and that tells them when its weights change.

    It is a Keras model, or an encoder in a folder: its configuration and weights, from which the Keras model is made
    when it is needed. Under a strategy it is made at once, so that its variables are the strategy's.

    Args:
        encoder: A built Keras model, or an encoder in a folder.
        is_private: Whether only tfchain has the Keras model, so that no other code can change its weights before
            `hand_out`; an encoder in a folder is always private. Ignored under a strategy. Default: False.

    Attributes:
        config: The encoder's shape; None for a Keras model that is not one of tfchain's own encoders.
        lock: Held shared to compute with the weights, and exclusively to write them.
    """

    def __init__(self, encoder: "keras.Model | StoredEncoder", *, is_private: bool = False) -> None:
        self.lock = SharedLock()
        self._lock = threading.RLock()
        self._change = object()
        self._stored = encoder if isinstance(encoder, StoredEncoder) else None
        self._fingerprint: str | None = None
        self._model: keras.Model | None = None
        self._at_hand_out: bytes | None = None
        if self._stored is None:
            self.config = _find_config(encoder)
            self._set_model(encoder, is_private)
        else:
            self.config = self._stored.config
            if _has_strategy():
                self._make_model()

    @property
    def model(self) -> "keras.Model":
        """The Keras model for tfchain's own use: code that changes its weights must call `tell_change`."""
        if self._model is None:
            with self._lock:
                if self._model is None:
                    self._make_model()
        return self._model

    @property
    def is_made(self) -> bool:
        """Whether the Keras model has been made."""
        return self._model is not None

    @property
    def weights(self) -> "keras.Model | StoredEncoder":
        """The source of the weights: the folder as long as they are unchanged, else the Keras model."""
        return self._stored or self.model

    @property
    def embedding_dim(self) -> int:
        """Width of the vectors."""
        return self.config.embedding_dim if self.config is not None else int(self.model.output_shape[-1])

    @property
    def num_weights(self) -> int:
        """The number of parameters."""
        return self._stored.num_weights if self._stored is not None else int(self.model.count_params())

    @property
    def fingerprint(self) -> str:
        """The value of `fingerprint_model` for the weights; computed once, and again after `tell_change`."""
        if self._fingerprint is None:
            if self._stored is not None:
                self._fingerprint = self._stored.fingerprint
            else:
                from tfchain.models.encoders.encoder import fingerprint_model

                self._fingerprint = fingerprint_model(self.model)
        return self._fingerprint

    @property
    def known_fingerprint(self) -> str | None:
        """The fingerprint if it has been computed since the last change, else None."""
        return self._fingerprint

    def get_fingerprint(self) -> str:
        """Returns `fingerprint`, for callers that need a function."""
        return self.fingerprint

    def hand_out(self) -> "keras.Model":
        """Returns the model to a caller that may train it; from now on its weights are checked for changes."""
        model = self.model
        with self._lock:
            self._stored = None
            if self._at_hand_out is None:
                self._at_hand_out = self._read_sample()
        return model

    def tell_change(self) -> None:
        """Tells all watches that the weights have changed."""
        self._change = object()
        self.forget()

    def forget(self) -> None:
        """Discards the fingerprint and the folder's weights, which no longer apply."""
        with self._lock:
            self._fingerprint = None
            if self._model is not None:
                self._stored = None

    def _make_model(self) -> None:
        from tfchain.models.weights.pretrained import make_encoder

        assert self._stored is not None
        self._set_model(make_encoder(self._stored.config, self._stored), is_private=True)
        if self._at_hand_out is not None:  # a strategy's model, which is checked from the beginning
            self._stored = None

    def _set_model(self, model: "keras.Model", is_private: bool) -> None:
        self._weights = _choose_sample(model.trainable_weights)
        self._operands = _find_operands(self._weights)
        self._at_hand_out = None if is_private and self._operands is not None else self._read_sample()
        self._model = model

    def _read_sample(self) -> bytes:
        if self._operands is None:
            return b"".join([np.asarray(weight).tobytes() for weight in self._weights])
        # The call inside TensorFlow's own ops, without the Python around it: 0.1 ms instead of 0.4 between two runs of
        # the encoder, which evict this code from the processor's caches.
        from tensorflow.python.eager import context
        from tensorflow.python.pywrap_tfe import TFE_Py_FastPathExecute as execute

        current = context.context()
        return b"".join(
            [
                execute(current, "ReadVariableOp", None, handle, "dtype", dtype).numpy().tobytes()
                for handle, dtype in self._operands
            ]
        )


class WeightWatch:
    """Checks whether a shared model's weights have changed since `reset`.

    They have if `SharedModel.tell_change` was called, or if either of two weights differs: the first and the last of
    the smallest trainable weights. Checking all weights would cost more than encoding a query. Training all layers but
    some lower or upper ones is noticed; a change of only large weights, or only of layers in between, is not.

    Args:
        shared: The model.
    """

    def __init__(self, shared: SharedModel) -> None:
        self.shared = shared
        self.reset()

    def reset(self) -> None:
        """Compares with the weights as they are now from now on."""
        self._change = self.shared._change
        # A private model is not read: it cannot change until it is handed out.
        self._seen = None if self.shared._at_hand_out is None else self.shared._read_sample()

    @property
    def has_changed(self) -> bool:
        """Whether the weights have changed since `reset`; costs nothing while the model is private."""
        shared = self.shared
        if self._change is not shared._change:
            return True
        if shared._at_hand_out is None:
            return False
        return shared._read_sample() != (shared._at_hand_out if self._seen is None else self._seen)


def _find_config(model: "keras.Model") -> EncoderConfig | None:
    from tfchain.models.encoders.encoder import Encoder

    return model.config if isinstance(model, Encoder) else None


def _has_strategy() -> bool:
    """Returns whether variables made now would belong to a strategy."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and bool(tensorflow.distribute.has_strategy())


def _choose_sample(weights: Sequence[Any]) -> list[Any]:
    """Returns the first and the last weight of the smallest size; if there is only one, it and the last of the next."""
    by_size: dict[int, list[Any]] = {}
    for weight in weights:
        by_size.setdefault(int(np.prod(weight.shape)), []).append(weight)
    groups = [by_size[size] for size in sorted(by_size)[:2]]
    if groups and len(groups[0]) > 1:
        return [groups[0][0], groups[0][-1]]
    return [group[-1] for group in groups]


def _find_operands(weights: Sequence[Any]) -> list[tuple[Any, Any]] | None:
    """Returns each weight's handle and data type; None if any is not a plain variable but, say, mirrored."""
    from tensorflow.python.ops.resource_variable_ops import ResourceVariable

    values = [weight.value for weight in weights]
    if any(type(value) is not ResourceVariable for value in values):
        return None
    return [(value.handle, value.dtype) for value in values]
