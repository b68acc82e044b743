"""The engine `litert`: the encoder as a flatbuffer, converted once and kept in a cache."""

import contextlib
import functools
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from tfchain.core.progress import show_progress
from tfchain.models.engines.engine import Computation
from tfchain.models.engines.litert_conversion import convert_encoder, load_cached
from tfchain.models.engines.tensorflow_engine import encode_padded, make_function
from tfchain.runtime.fork import renew_after_fork
from tfchain.runtime.litert import TOKENS_A_THREAD, LiteRTEncoder, LiteRTPool, count_cores
from tfchain.runtime.token_batches import TOKENS_IN_BATCH, map_on_threads

logger = logging.getLogger(__name__)

CONVERSION = 4  # goes up when the same weights give another flatbuffer, so that old ones in the cache do not count
POOL_TOKENS = 4096  # from which on several interpreters are worth their start, which is once
MOST_INTERPRETERS = 8  # beside the one for queries; each keeps a copy of the weights
LARGEST_FLATBUFFER = 1_900_000_000  # bytes; a flatbuffer ends at 2 GiB


class _OtherWeightsError(Exception):
    """The encoder's weights are others than its fingerprint says."""


class LiteRTEngine:
    """Runs the encoder's flatbuffer: one interpreter for all texts, in int8 another for a text alone, and a pool.

    Args:
        computation: What to compute. In float32 its encoder is converted at once; in other precisions when the first
            text comes, as a process that only answers queries needs the flatbuffer for one text alone.

    Raises:
        TfchainError: if LiteRT has no kernel for one of the encoder's ops.

    Attributes:
        many: What runs several texts; None before the first.
        single: What runs a text alone; None before the first.
        pool: Interpreters of one thread for many texts in int8; None where there are none.
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
        import tensorflow as tf

        return "there is a GPU" if tf.config.list_physical_devices("GPU") else None

    def after_fork(self) -> None:
        """Forgets who held the lock: a thread of the parent's, which cannot give it back."""
        self._lock = threading.RLock()

    def start(self) -> LiteRTEncoder:
        """What runs several texts."""
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
        """What runs a text alone: in int8 a flatbuffer for one text, else the same as for many.

        In float32 it would save a fiftieth of a query, and hold four times as much.
        """
        with self._lock:
            if self.single is None:
                has_own = self._computation.precision == "int8" and self._computation.shared.config is not None
                self.single = self._load(is_single=True) if has_own else self.start()
            return self.single

    def _find_pool(self, lengths: Sequence[int]) -> LiteRTPool | None:
        """Interpreters of one thread for many texts in int8; None where the one interpreter is as good.

        Two of one thread encode about a twentieth to a tenth more texts than one of two threads, which waits at each of
        its small steps (benchmarks/batches.py). In float32 they would hold four times as much, twice more.
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
                except ValueError:  # the file has been cleared out of the cache; the one interpreter has it still
                    logger.info("The flatbuffer is not in the cache any more: one interpreter encodes all.")
                    return None
            return self.pool

    def _load(self, *, is_single: bool = False) -> LiteRTEncoder:
        computation = self._computation
        convert = functools.partial(self._convert, is_single=is_single)
        key = computation.find_cache_key()
        if key is not None:
            name = f"{self._name_cached(key)}-single" if is_single else self._name_cached(key)
            with contextlib.suppress(_OtherWeightsError):
                return load_cached(name, functools.partial(self._check_made, convert, key))
            computation.cache_key = self.many = self.single = self.pool = None
        return LiteRTEncoder(convert())

    def _check_made(self, convert: Callable[[], bytes], key: str) -> bytes:
        """A flatbuffer for the cache, and for this process beside one that was made before: of the same weights."""
        from tfchain.models.encoders.encoder import fingerprint_model

        made = convert()
        if fingerprint_model(self._computation.shared.model) != key:  # changed without a word
            raise _OtherWeightsError
        return made

    def _convert(self, *, is_single: bool = False) -> bytes:
        encoder, precision = self._computation.shared.model, self._computation.precision
        if is_single:
            from tfchain.models.engines.query_function import make_single_function as make
        else:
            make = make_function
        logger.info(
            "Converting the encoder for LiteRT in %s%s; this happens once a model.",
            *(precision, " for single texts" if is_single else ""),
        )
        with show_progress(1, "preparing the model for this processor, once", shown=sys.stderr.isatty()):
            return convert_encoder(encoder, make(encoder), precision)

    def _name_cached(self, key: str) -> str:
        import tensorflow as tf

        name = f"{key}-{tf.__version__}-{metadata.version('tfchain')}-{CONVERSION}"
        precision = self._computation.precision
        return name if precision == "float32" else f"{name}-{precision}"
