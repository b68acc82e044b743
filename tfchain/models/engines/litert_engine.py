"""The engine `litert`: runs the encoder as a flatbuffer, which is converted once and cached."""

import contextlib
import functools
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfchain import __version__
from tfchain.core.progress import show_progress
from tfchain.models.engines.engine import Computation
from tfchain.models.engines.litert_conversion import convert_encoder, load_cached
from tfchain.models.engines.tensorflow_engine import encode_padded, make_function
from tfchain.runtime.fork import renew_after_fork
from tfchain.runtime.litert import TOKENS_A_THREAD, LiteRTEncoder, LiteRTPool, count_cores
from tfchain.runtime.token_batches import TOKENS_IN_BATCH, map_on_threads

logger = logging.getLogger(__name__)

CONVERSION = 6  # increased when the same weights give a different flatbuffer, so that cached ones are not used
POOL_TOKENS = 4096  # with this many tokens, several interpreters are worth starting, which happens once
MOST_INTERPRETERS = 8  # beside the interpreter for queries; each has a copy of the weights
LARGE = 100_000_000  # weights; TensorFlow is faster with layers of newer architectures that wide
LARGEST_FLATBUFFER = 1_900_000_000  # bytes; the limit of a flatbuffer is 2 GiB


class _OtherWeightsError(Exception):
    """The encoder's weights do not have its fingerprint."""


class LiteRTEngine:
    """Runs the encoder's flatbuffer with one interpreter; in int8, with another for single texts, and a pool.

    Args:
        computation: The encoder and its precision. In float32 the encoder is converted at once; in other precisions
            with the first text, because a process that only answers queries only needs the flatbuffer for single texts.

    Raises:
        TfchainError: if LiteRT has no kernel for one of the encoder's ops.

    Attributes:
        many: The interpreter for several texts; None before the first call with several texts.
        single: The interpreter for a single text; None before the first call with a single text.
        pool: Single-threaded interpreters for many texts in int8; None if there is no pool.
    """

    label = "LiteRT"

    def __init__(self, computation: Computation) -> None:
        self._computation = computation
        self.many: LiteRTEncoder | None = None
        self.single: LiteRTEncoder | None = None
        self.pool: LiteRTPool | None = None
        self._lock = threading.RLock()
        renew_after_fork(self)
        if computation.precision == "float32":
            self.start()

    @classmethod
    def find_obstacle(cls, computation: Computation) -> str | None:
        if computation.cache_key is None:
            return "the encoder may change, or has changed"
        if computation.shared.num_weights * 4 >= LARGEST_FLATBUFFER:
            return "the encoder is larger than a flatbuffer can be"
        config = computation.shared.config
        is_newer = config is not None and config.transformer.layer is not None
        if computation.precision == "float32" and is_newer and computation.shared.num_weights >= LARGE:
            return "TensorFlow computes a large encoder of this architecture faster, and without a copy of its weights"
        import tensorflow as tf

        return "there is a GPU" if tf.config.list_physical_devices("GPU") else None

    def after_fork(self) -> None:
        """Replaces the lock, which a thread of the parent process may have held."""
        self._lock = threading.RLock()

    def start(self) -> LiteRTEncoder:
        """Returns the interpreter for several texts, loaded on first use."""
        with self._lock:
            if self.many is None:
                self.many = self._load()
            return self.many

    def encode(
        self,
        token_ids: Sequence[Sequence[int]],
        *,
        batch_size: int = 32,
        skipped: int = 0,
        progress: Callable[[int], Any] | None = None,
    ) -> np.ndarray | None:
        options: dict[str, Any] = {"skipped": skipped, "progress": progress}
        pad_token_id = self._computation.pad_token_id
        if len(token_ids) == 1:
            return encode_padded(self.single or self._start_single(), token_ids, pad_token_id, **options)
        many = self.many or self.start()
        pool = self._find_pool([len(ids) for ids in token_ids])
        num_threads = many.num_threads if pool is None else pool.num_threads
        options["tokens_in_batch"] = min(TOKENS_IN_BATCH, TOKENS_A_THREAD * num_threads)
        with contextlib.nullcontext(map) if pool is None else map_on_threads(pool.size) as run_all:
            return encode_padded(
                pool or many, token_ids, pad_token_id, batch_size=batch_size, run_all=run_all, **options
            )

    def _start_single(self) -> LiteRTEncoder:
        """Returns the interpreter for a single text: in int8 its own flatbuffer, else the one for several texts.

        In float32 a flatbuffer of its own would save 2 % of a query's time, and take four times as much memory.
        """
        with self._lock:
            if self.single is None:
                is_separate = self._computation.precision == "int8" and self._computation.shared.config is not None
                self.single = self._load(is_single=True) if is_separate else self.start()
            return self.single

    def _find_pool(self, lengths: Sequence[int]) -> LiteRTPool | None:
        """Returns single-threaded interpreters for many texts in int8; None if one interpreter is as good.

        Two single-threaded interpreters encode 5 to 10 % more texts than one with two threads, which wait for each
        other at every small step (benchmarks/batches.py). In float32 each would take four times as much memory.
        """
        cores = count_cores()
        num_threads = -(-cores // MOST_INTERPRETERS)
        size = cores // num_threads
        is_many = sum(lengths) >= POOL_TOKENS and len(lengths) >= size > 1
        if self._computation.precision != "int8" or not is_many:
            return None
        with self._lock:
            if self.pool is None:
                try:
                    self.pool = LiteRTPool(self.start().model, size=size, num_threads=num_threads)
                except ValueError:  # the file has been deleted from the cache; the interpreter still has it open
                    logger.info("The flatbuffer is no longer in the cache: one interpreter encodes all texts.")
                    return None
            return self.pool

    def _load(self, *, is_single: bool = False) -> LiteRTEncoder:
        computation = self._computation
        convert = functools.partial(self._convert, is_single=is_single)
        key = computation.find_cache_key()
        if key is not None:
            name = f"{self._name_cached(key)}-single" if is_single else self._name_cached(key)
            with contextlib.suppress(_OtherWeightsError):
                return load_cached(name, functools.partial(self._convert_checked, convert, key))
            computation.cache_key = self.many = self.single = self.pool = None
        return LiteRTEncoder(convert())

    def _convert_checked(self, convert: Callable[[], bytes], key: str) -> bytes:
        """Returns a new flatbuffer after checking that the weights still have the cached fingerprint."""
        from tfchain.models.encoders.encoder import fingerprint_model

        flatbuffer = convert()
        if fingerprint_model(self._computation.shared.model) != key:  # changed without a call of `refresh`
            raise _OtherWeightsError
        return flatbuffer

    def _convert(self, *, is_single: bool = False) -> bytes:
        encoder, precision = self._computation.shared.model, self._computation.precision
        if is_single:
            from tfchain.models.engines.query_function import make_single_function as make
        else:
            make = make_function
        logger.info(
            "Converting the encoder for LiteRT in %s%s; this happens once per model.",
            *(precision, " for single texts" if is_single else ""),
        )
        with show_progress(1, "preparing the model for this processor, once", shown=sys.stderr.isatty()):
            return convert_encoder(encoder, make(encoder), precision)

    def _name_cached(self, key: str) -> str:
        import tensorflow as tf

        name = f"{key}-{tf.__version__}-{__version__}-{CONVERSION}"
        precision = self._computation.precision
        return name if precision == "float32" else f"{name}-{precision}"
