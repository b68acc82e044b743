"""Runs an encoder on lists of token ids with the requested engine, or with the best engine that can run."""

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
    """Computes an encoder's vectors for token ids.

    Args:
        encoder: A Keras model from `token_ids` and `padding_mask` to vectors, or a `SharedModel`, which makes the Keras
            model only when an engine needs it.
        pad_token_id: The id that pads shorter texts. Default: 0.
        engine: `tensorflow` runs the Keras model as a graph. `litert` first converts it to a flatbuffer, which takes
            seconds once (in int8 twice, for single and for several texts), and is faster on a CPU. `native` runs only
            int8, on tfchain's own kernels: it needs no conversion and was faster still on two cores, but needs x86-64
            Linux, a processor with AVX-512 VNNI and one of tfchain's own encoders. `auto` uses `native` for int8 if it
            can, `litert` on a machine without a GPU for a model with a `cache_key`, and otherwise `tensorflow`. `numpy`
            runs static encoders only, and `auto` uses it for them. Default: `auto`.
        cache_key: The model's fingerprint by `fingerprint_model`, or a function that returns it; the key under which
            the flatbuffer is cached between processes. Default: not cached.
        precision: `bfloat16` runs a copy of the encoder in TensorFlow. `int8` (8-bit weights, activations quantized
            dynamically) runs on `native` or LiteRT, `float16` (16-bit weights) on LiteRT, both on the CPU. Default:
            `float32`.
        calibration: For `int8`, texts on which the ranges of activations are measured; TensorFlow then computes.
            Default: none.

    Raises:
        InputError: if `engine` or `precision` is unknown, if they cannot be combined with each other or with the
            encoder, or if `native` cannot run on this machine.
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
        shared = encoder if isinstance(encoder, SharedModel) else SharedModel(encoder)
        self._is_static = shared.config is not None and shared.config.transformer.is_static
        check_precision(precision, engine, calibration is not None, self._is_static)
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
        if engine == "numpy":
            from tfchain.models.engines.numpy_engine import check_numpy

            check_numpy(self._computation)
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
        """Computes the vectors of texts.

        Args:
            token_ids: The ids of each text, without padding.
            batch_size: The maximum number of texts in a step. Default: 32.
            skipped: How many of each text's first tokens pooling leaves out (a prompt). Default: 0.
            progress: Called after each step with its number of texts. Default: not called.

        Returns:
            float32 `(texts, dim)`, in the order given.
        """
        running = self._running or self.start()
        vectors = running.encode(token_ids, batch_size=batch_size, skipped=skipped, progress=progress)
        return np.zeros((0, self.embedding_dim), dtype="float32") if vectors is None else vectors

    @property
    def cache_key(self) -> str | None:
        """The fingerprint under which the flatbuffer is cached; None if the weights may have changed."""
        return self._computation.find_cache_key()

    @property
    def running(self) -> Engine | None:
        """The running engine; None before the first text, and after a change of the weights."""
        return self._running

    @property
    def embedding_dim(self) -> int:
        """Width of the vectors."""
        return self._shared.embedding_dim

    @property
    def compute_encoder(self) -> "keras.Model":
        """The model for the TensorFlow graph: the encoder, or its copy in `bfloat16` or calibrated `int8`."""
        return self._computation.compute_encoder

    @property
    def needs_flatbuffer(self) -> bool:
        """Whether TensorFlow does not compute in this precision, so that only a flatbuffer can be exported."""
        return needs_flatbuffer(self.precision, self.calibration is not None, self._is_static)

    def make_flatbuffer(self) -> bytes:
        """Returns the encoder as a LiteRT flatbuffer in this precision, from the cache if possible.

        The flatbuffer has one signature, `embed_ids`: `token_ids`, `padding_mask` → `embedding`.

        Raises:
            InputError: if LiteRT does not compute in this precision.
            TfchainError: if LiteRT has no kernel for one of the encoder's ops.
        """
        from tfchain.models.engines.litert_engine import LiteRTEngine

        check_precision(self.precision, "litert", self.calibration is not None, self._is_static)
        with self._lock:
            computation, is_known = self._computation, self._computation.cache_key is not None
            flatbuffer = LiteRTEngine(computation).start().read()
            if is_known and computation.cache_key is None:  # the weights have changed without a call of `refresh`
                self._running = None
        return flatbuffer

    def start(self) -> Engine:
        """Returns the running engine; starts the requested engine, or the first in the table that can run.

        Raises:
            InputError: if `native` was requested, and cannot run these weights.
            TfchainError: if the encoder cannot be converted, and no other engine has its precision.
        """
        with self._lock:
            if self._running is None:  # unless another thread has started it
                names = find_engines(self.precision, self.calibration is not None, self._is_static)
                self._running = self._start_first(names if self.engine == "auto" else (self.engine,))
            return self._running

    def refresh(self, cache_key: str | Callable[[], str] | None = None) -> None:
        """Discards what was computed from the old weights; call it after changing the encoder's weights.

        Args:
            cache_key: The new fingerprint, or a function that returns it. Default: none; `auto` then uses TensorFlow.
        """
        with self._lock:
            self._computation, self._running = self._make_computation(cache_key), None

    def after_fork(self) -> None:
        """Replaces the lock, which a thread of the parent process may have held."""
        self._lock = threading.RLock()

    def _make_computation(self, cache_key: str | Callable[[], str] | None) -> Computation:
        return Computation(self._shared, self.precision, self.calibration, self.pad_token_id, cache_key)

    def _start_first(self, names: Sequence[EngineName]) -> Engine:
        for name, following in itertools.pairwise(names):
            engine, next_engine = find_engine(name), find_engine(following)
            obstacle = engine.find_obstacle(self._computation)
            if obstacle is None:
                try:
                    return engine(self._computation)
                except NotFiniteError:
                    obstacle = "not all of its weights are finite"
                except ModelFolderError:  # every other engine would fail too
                    raise
                except TfchainError as error:
                    obstacle = str(error)
            logger.info(
                "%s runs the encoder in %s, not %s: %s.",
                *(next_engine.label, self.precision, engine.label, obstacle.removesuffix(".")),
            )
        try:
            return find_engine(names[-1])(self._computation)
        except NotFiniteError as error:
            from tfchain.models.engines.native_engine import make_native_error

            raise make_native_error("not all of its weights are finite") from error


def find_engine(name: EngineName) -> type[Engine]:
    """Returns the class of an engine, imported on demand, so that a process imports only the engine that it uses."""
    if name == "native":
        from tfchain.models.engines.native_engine import NativeEngine

        return NativeEngine
    if name == "numpy":
        from tfchain.models.engines.numpy_engine import NumpyEngine

        return NumpyEngine
    if name == "litert":
        from tfchain.models.engines.litert_engine import LiteRTEngine

        return LiteRTEngine
    from tfchain.models.engines.tensorflow_engine import TensorFlowEngine

    return TensorFlowEngine
