"""Notices that a model has been trained elsewhere: looks at a few small weights before every query, where it could be.

A model that tfchain has read from a folder is in nobody else's hands, and needs no look, until someone asks for it.
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
    """An encoder that one or several text encoders run, and what tells them that its weights have changed.

    It is a Keras model, or an encoder that lies in a folder: its configuration and weights, of which the Keras model is
    made when someone needs it. Under a strategy it is made at once, so that its variables are the strategy's.

    Args:
        encoder: A built Keras model, or an encoder in a folder.
        is_private: Whether tfchain alone has the Keras model, so that nobody else can change its weights before
            `hand_out`; one in a folder is private in any case. Under a strategy it makes no difference. Default: False.

    Attributes:
        config: The encoder's shape; None for a Keras model that is not one of tfchain's own encoders.
        lock: Held together by who computes with the weights, and alone by who writes them.
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
            self._take(encoder, is_private)
        else:
            self.config = self._stored.config
            if _has_strategy():
                self._make()

    @property
    def model(self) -> "keras.Model":
        """The Keras model, for tfchain's own use: whoever changes its weights calls `tell_change`."""
        if self._model is None:
            with self._lock:
                if self._model is None:
                    self._make()
        return self._model

    @property
    def is_made(self) -> bool:
        """Whether there is a Keras model already."""
        return self._model is not None

    @property
    def weights(self) -> "keras.Model | StoredEncoder":
        """What the weights are read from: the folder as long as they are as they lie there, else the Keras model."""
        return self._stored or self.model

    @property
    def embedding_dim(self) -> int:
        """Width of the vectors."""
        return self.config.embedding_dim if self.config is not None else int(self.model.output_shape[-1])

    @property
    def num_weights(self) -> int:
        """How many numbers the weights are."""
        return self._stored.num_weights if self._stored is not None else int(self.model.count_params())

    @property
    def fingerprint(self) -> str:
        """What `fingerprint_model` gives for the weights; worked out once, until they are told to have changed."""
        if self._fingerprint is None:
            if self._stored is not None:
                self._fingerprint = self._stored.fingerprint
            else:
                from tfchain.models.encoders.encoder import fingerprint_model

                self._fingerprint = fingerprint_model(self.model)
        return self._fingerprint

    @property
    def known_fingerprint(self) -> str | None:
        """The fingerprint, if it has been worked out since the last change."""
        return self._fingerprint

    def get_fingerprint(self) -> str:
        """As the property, for those who ask later."""
        return self.fingerprint

    def hand_out(self) -> "keras.Model":
        """The model for someone who may train it: it is watched from now on."""
        model = self.model
        with self._lock:
            self._stored = None
            if self._at_hand_out is None:
                self._at_hand_out = self._look()
        return model

    def tell_change(self) -> None:
        """Tells all watches that the weights have changed."""
        self._change = object()
        self.forget()

    def forget(self) -> None:
        """Forgets what was known of the weights, which have changed."""
        with self._lock:
            self._fingerprint = None
            if self._model is not None:
                self._stored = None

    def _make(self) -> None:
        from tfchain.models.weights.pretrained import make_encoder

        assert self._stored is not None
        self._take(make_encoder(self._stored.config, self._stored.items()), is_private=True)
        if self._at_hand_out is not None:  # the strategy's, which is watched from the beginning
            self._stored = None

    def _take(self, model: "keras.Model", is_private: bool) -> None:
        self._weights = _choose(model.trainable_weights)
        self._operands = _find_operands(self._weights)
        self._at_hand_out = None if is_private and self._operands is not None else self._look()
        self._model = model

    def _look(self) -> bytes:
        if self._operands is None:
            return b"".join([np.asarray(weight).tobytes() for weight in self._weights])
        # What TensorFlow's own ops call, without the Python around it: 0.1 ms in place of 0.4 where it comes between
        # two runs of the encoder, which leave nothing of this code in the processor's caches.
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
    """Tells whether a shared model's weights have changed since this watch began.

    They have if `SharedModel.tell_change` was called, or if one of two weights is another. The two are of the smallest
    trainable ones, as looking at all would cost more than encoding a query, a first and a last one, so that training
    all but some lower or some upper layers is seen. A change of large weights alone, or of layers in between, is not.

    Args:
        shared: The model.
    """

    def __init__(self, shared: SharedModel) -> None:
        self.shared = shared
        self.reset()

    def reset(self) -> None:
        """Takes the weights as they are now for unchanged."""
        self._change = self.shared._change
        # Of a private model, nothing is known to compare with: it is as it is until it is handed out.
        self._seen = None if self.shared._at_hand_out is None else self.shared._look()

    @property
    def has_changed(self) -> bool:
        """Whether they are others than at `reset`; costs nothing while the model is private."""
        shared = self.shared
        if self._change is not shared._change:
            return True
        if shared._at_hand_out is None:
            return False
        return shared._look() != (shared._at_hand_out if self._seen is None else self._seen)


def _find_config(model: "keras.Model") -> EncoderConfig | None:
    from tfchain.models.encoders.encoder import Encoder

    return model.config if isinstance(model, Encoder) else None


def _has_strategy() -> bool:
    """Whether variables that are made now would be a strategy's."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and bool(tensorflow.distribute.has_strategy())


def _choose(weights: Sequence[Any]) -> list[Any]:
    """The first and the last of the smallest size; where there is one of that size, it and the last of the next."""
    by_size: dict[int, list[Any]] = {}
    for weight in weights:
        by_size.setdefault(int(np.prod(weight.shape)), []).append(weight)
    groups = [by_size[size] for size in sorted(by_size)[:2]]
    if groups and len(groups[0]) > 1:
        return [groups[0][0], groups[0][-1]]
    return [group[-1] for group in groups]


def _find_operands(weights: Sequence[Any]) -> list[tuple[Any, Any]] | None:
    """Handle and data type of each; None where one is not a plain variable, such as one mirrored by a strategy."""
    from tensorflow.python.ops.resource_variable_ops import ResourceVariable

    values = [weight.value for weight in weights]
    if any(type(value) is not ResourceVariable for value in values):
        return None
    return [(value.handle, value.dtype) for value in values]
