"""Runs an encoder on lists of token ids with the engine that is asked for, or with the best one that runs here."""

import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from tfchain.core.errors import InputError, ModelFolderError, TfchainError
from tfchain.models.engines.calibration import Calibration
from tfchain.models.engines.compute_copy import check_encoder
from tfchain.models.engines.engine import Computation, Engine
from tfchain.models.engines.kernel_weights import NotFiniteError
from tfchain.models.precision import EngineName, Precision, check_precision, find_engines, needs_flatbuffer
from tfchain.models.shared_model import SharedModel
from tfchain.runtime.fork import renew_after_fork

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)


class EncoderRunner:
    """Gives an encoder's vectors for token ids.

    Args:
        encoder: A Keras model from `token_ids` and `padding_mask` to vectors, or a `SharedModel`, which may be one that
            is only made when an engine needs it.
        pad_token_id: Fills shorter texts up. Default: 0.
        engine: `tensorflow` runs the Keras model as a graph; `litert` converts it to a flatbuffer first, which takes
            seconds once (in int8 twice, for a text alone and for several) and is faster on a CPU; `native` runs int8
            alone, on kernels of tfchain's own: it needs no conversion and was faster still on two cores, but wants
            x86-64 Linux, a processor with AVX-512 VNNI and one of tfchain's own encoders. `auto` takes `native` for
            int8 where it can, `litert` on a machine without GPU for a model that `cache_key` names, and else
            `tensorflow`. Default: `auto`.
        cache_key: The model's fingerprint by `fingerprint_model`, or what gives it when it is needed; the flatbuffer is
            kept under it between processes. Default: not kept.
        precision: `bfloat16` computes a copy of the encoder in TensorFlow; `int8` (weights of 8 bits, activations
            quantized as they come) is `native`'s or LiteRT's, `float16` (weights of 16 bits) LiteRT's, on the CPU.
            Default: `float32`.
        calibration: Texts that the ranges of activations are measured on, for `int8`, which TensorFlow computes then.
            Default: none.

    Raises:
        InputError: if `engine` or `precision` is unknown, or the two do not go together, or with the encoder; or if
            `native` cannot run here.
    """

    def __init__(
        self,
        encoder: "keras.Model | SharedModel",
        *,
        pad_token_id: int = 0,
        engine: EngineName = "auto",
        cache_key: str | Callable[[], str] | None = None,
        precision: Precision = "float32",
        calibration: Calibration | None = None,
    ) -> None:
        if engine not in get_args(EngineName):
            raise InputError(f"`engine` must be one of {', '.join(get_args(EngineName))}. Received: engine={engine!r}.")
        check_precision(precision, engine, calibration is not None)
        shared = encoder if isinstance(encoder, SharedModel) else SharedModel(encoder)
        check_encoder(shared, precision, calibration is not None)
        self.pad_token_id = pad_token_id
        self.engine: EngineName = engine
        self.precision: Precision = precision
        self.calibration = calibration
        self._shared = shared
        self._computation = self._make_computation(cache_key)
        if engine == "native":
            from tfchain.models.engines.native_engine import check_native

            check_native(self._computation)
        self._running: Engine | None = None
        self._lock = threading.RLock()
        renew_after_fork(self)

    def __call__(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        batch_size: int = 32,
        skipped: int = 0,
        progress: Callable[[int], Any] | None = None,
    ) -> np.ndarray:
        """Vectors of texts, in the order given.

        Args:
            token_ids: Each text's ids, not padded.
            batch_size: The most texts in one step. Default: 32.
            skipped: How many of each text's first tokens pooling leaves out (a prompt). Default: 0.
            progress: Called with the number of texts done after each step.

        Returns:
            float32 `(texts, dim)`.
        """
        running = self._running or self.start()
        vectors = running.encode(token_ids, batch_size=batch_size, skipped=skipped, progress=progress)
        return np.zeros((0, self.embedding_dim), dtype="float32") if vectors is None else vectors

    @property
    def cache_key(self) -> str | None:
        """The fingerprint that the flatbuffer is kept under; None where the weights may be others by now."""
        return self._computation.find_cache_key()

    @property
    def running(self) -> Engine | None:
        """The engine at work; None before the first text, and after a change of the weights."""
        return self._running

    @property
    def embedding_dim(self) -> int:
        """Width of the vectors."""
        return self._shared.embedding_dim

    @property
    def compute_encoder(self) -> "keras.Model":
        """What the TensorFlow graph computes with: the encoder, or its copy in `bfloat16` or calibrated `int8`."""
        return self._computation.compute_encoder

    @property
    def needs_flatbuffer(self) -> bool:
        """Whether TensorFlow does not compute in this precision, so that it leaves Python as a flatbuffer alone."""
        return needs_flatbuffer(self.precision, self.calibration is not None)

    def make_flatbuffer(self) -> bytes:
        """The encoder as a LiteRT flatbuffer in this precision, from the cache where it is there.

        It has one signature, `embed_ids`: `token_ids`, `padding_mask` → `embedding`.

        Raises:
            InputError: if LiteRT does not compute in this precision.
            TfchainError: if LiteRT has no kernel for one of the encoder's ops.
        """
        from tfchain.models.engines.litert_engine import LiteRTEngine

        check_precision(self.precision, "litert", self.calibration is not None)
        with self._lock:
            computation, is_known = self._computation, self._computation.cache_key is not None
            flatbuffer = LiteRTEngine(computation).start().read()
            if is_known and computation.cache_key is None:  # the weights have changed without a word
                self._running = None
        return flatbuffer

    def start(self) -> Engine:
        """The engine that runs the encoder from now on: the one asked for, or the first of the table's that can.

        Raises:
            InputError: if `native` was asked for, and cannot run these weights.
            TfchainError: if the encoder cannot be converted, and no other engine has its precision.
        """
        with self._lock:
            if self._running is None:  # else another thread was quicker
                names = find_engines(self.precision, self.calibration is not None)
                self._running = self._start_first(names if self.engine == "auto" else (self.engine,))
            return self._running

    def refresh(self, cache_key: str | Callable[[], str] | None = None) -> None:
        """Forgets what was made of the old weights; call it when the encoder's weights have changed.

        Args:
            cache_key: The new fingerprint; without one, `auto` runs in TensorFlow from now on.
        """
        with self._lock:
            self._computation, self._running = self._make_computation(cache_key), None

    def after_fork(self) -> None:
        """Forgets who held the lock: a thread of the parent's, which cannot give it back."""
        self._lock = threading.RLock()

    def _make_computation(self, cache_key: str | Callable[[], str] | None) -> Computation:
        return Computation(self._shared, self.precision, self.calibration, self.pad_token_id, cache_key)

    def _start_first(self, names: Sequence[EngineName]) -> Engine:
        for name, following in itertools.pairwise(names):
            engine, other = find_engine(name), find_engine(following)
            obstacle = engine.find_obstacle(self._computation)
            if obstacle is None:
                try:
                    return engine(self._computation)
                except NotFiniteError:
                    obstacle = "not all of its weights are finite"
                except ModelFolderError:  # no other engine could do better
                    raise
                except TfchainError as error:
                    obstacle = str(error)
            logger.info(
                "%s runs the encoder in %s, not %s: %s.",
                *(other.label, self.precision, engine.label, obstacle.removesuffix(".")),
            )
        try:
            return find_engine(names[-1])(self._computation)
        except NotFiniteError as error:
            from tfchain.models.engines.native_engine import make_native_error

            raise make_native_error("not all of its weights are finite") from error


def find_engine(name: EngineName) -> type[Engine]:
    """The class of an engine, imported when it is needed: a process that answers by one needs nothing of the others."""
    if name == "native":
        from tfchain.models.engines.native_engine import NativeEngine

        return NativeEngine
    if name == "litert":
        from tfchain.models.engines.litert_engine import LiteRTEngine

        return LiteRTEngine
    from tfchain.models.engines.tensorflow_engine import TensorFlowEngine

    return TensorFlowEngine
