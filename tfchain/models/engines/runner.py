"""Runs an encoder on lists of token ids: sorts by length, batches, pads, and puts the vectors back in order."""

import contextlib
import functools
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, Literal, get_args

import keras
import numpy as np

from tfchain.core.errors import InputError, TfchainError
from tfchain.core.progress import show_progress
from tfchain.models.encoders.encoder import Encoder, fingerprint_model
from tfchain.models.engines.calibration import Calibration
from tfchain.models.engines.litert_conversion import convert_encoder, load_cached
from tfchain.models.engines.native_encoder import NativeEncoder, find_obstacle_of
from tfchain.models.engines.precision import (
    Precision,
    check_encoder,
    check_precision,
    make_compute_copy,
    needs_flatbuffer,
)
from tfchain.models.engines.query_function import make_single_function
from tfchain.runtime.fork import check_tensorflow_runs, renew_after_fork
from tfchain.runtime.litert import TOKENS_A_THREAD, LiteRTEncoder, LiteRTPool, count_cores
from tfchain.runtime.token_batches import TOKENS_IN_BATCH, encode_in_batches, map_on_threads

logger = logging.getLogger(__name__)

Engine = Literal["auto", "tensorflow", "litert", "native"]
Run = Callable[[np.ndarray, np.ndarray], np.ndarray]  # from token ids and mask to vectors
CONVERSION = 4  # goes up when the same weights give another flatbuffer, so that old ones in the cache do not count
POOL_TOKENS = 4096  # from which on several interpreters are worth their start, which is once
MOST_INTERPRETERS = 8  # beside the one for queries; each keeps a copy of the weights
LARGEST_FLATBUFFER = 1_900_000_000  # bytes; a flatbuffer ends at 2 GiB


class _OtherWeightsError(Exception):
    """The encoder's weights are others than its fingerprint says."""


class EncoderRunner:
    """Gives an encoder's vectors for token ids.

    Args:
        encoder: A Keras model from `token_ids` and `padding_mask` to vectors.
        pad_token_id: Fills shorter texts up. Default: 0.
        engine: `tensorflow` runs the Keras model as a graph; `litert` converts it to a flatbuffer first, which takes
            seconds once (in int8 twice, for a text alone and for several) and is faster on a CPU; `native` runs int8
            alone, on kernels of tfchain's own: it needs no conversion and was faster still on two cores, but wants
            x86-64 Linux, a processor with AVX-512 VNNI and one of tfchain's own encoders. `auto` takes `native` for
            int8 where it can, `litert` on a machine without GPU for a model that `cache_key` names, and else
            `tensorflow`. Default: `auto`.
        cache_key: The model's fingerprint by `fingerprint_model`, under which the flatbuffer is kept between processes.
            Default: not kept.
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
        encoder: keras.Model,
        *,
        pad_token_id: int = 0,
        engine: Engine = "auto",
        cache_key: str | None = None,
        precision: Precision = "float32",
        calibration: Calibration | None = None,
    ) -> None:
        if engine not in get_args(Engine):
            raise InputError(f"`engine` must be one of {', '.join(get_args(Engine))}. Received: engine={engine!r}.")
        check_precision(precision, engine, calibration is not None)
        check_encoder(encoder, precision, calibration is not None)
        if engine == "native":
            obstacle = find_obstacle_of(encoder)
            if obstacle is not None:
                raise _make_native_error(obstacle)
        self._encoder = encoder
        self.pad_token_id = pad_token_id
        self.engine = engine
        self.cache_key = cache_key
        self.precision: Precision = precision
        self.calibration = calibration
        self._compute_encoder: keras.Model | None = None
        self._function: Any = None
        self._run: Run | None = None
        self._run_one: Run | None = None
        self._native: NativeEncoder | None = None
        self._pool: LiteRTPool | None = None
        self._lock = threading.RLock()
        self._may_be_native = self._has_native_precision
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
        if self._may_be_native:
            native = self._native or self._start_native()
            if native is not None and self._has_written_padding(token_ids):
                return self._run_around_padding(native, token_ids, batch_size, skipped, progress)
            if native is not None:
                found = native.encode(token_ids, batch_size=batch_size, skipped=skipped, progress=progress)
                return self._no_vectors if found is None else found
        if len(token_ids) == 1:  # a query, which batches would cost a tenth of its time
            run = self._run_one or self._start_one()
            vector = np.asarray(run(*pad(token_ids, self.pad_token_id, skipped=skipped)), dtype="float32")
            if progress is not None:
                progress(1)
            return vector
        run = self._run or self._start()
        lengths = np.array([len(ids) for ids in token_ids], dtype=np.int64)

        def take(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return pad([token_ids[row] for row in rows], self.pad_token_id, skipped=skipped)

        options: dict[str, Any] = {"batch_size": batch_size, "progress": progress}
        pool = self._find_pool(run, lengths)
        if isinstance(run, LiteRTEncoder):
            num_threads = run.num_threads if pool is None else pool.num_threads
            options["tokens_in_batch"] = min(TOKENS_IN_BATCH, TOKENS_A_THREAD * num_threads)
        with contextlib.nullcontext(map) if pool is None else map_on_threads(pool.size) as run_all:
            vectors = encode_in_batches(pool or run, take, lengths, run_all=run_all, **options)
        return self._no_vectors if vectors is None else vectors

    @property
    def embedding_dim(self) -> int:
        """Width of the vectors."""
        return int(self._encoder.output_shape[-1])

    @property
    def compute_encoder(self) -> keras.Model:
        """What the TensorFlow graph computes with: the encoder, or its copy in `bfloat16` or calibrated `int8`."""
        if self._compute_encoder is None:
            self._compute_encoder = make_compute_copy(
                self._encoder, self.precision, self.calibration, pad_token_id=self.pad_token_id
            )
        return self._compute_encoder

    @property
    def needs_flatbuffer(self) -> bool:
        """Whether TensorFlow does not compute in this precision, so that it leaves Python as a flatbuffer alone."""
        return needs_flatbuffer(self.precision, self.calibration is not None)

    @property
    def function(self) -> Any:
        """The encoder as a concrete function of `token_ids` and `padding_mask`, int32 `(None, None)`."""
        if self._function is None:
            self._function = make_function(self.compute_encoder).get_concrete_function()
        return self._function

    def make_flatbuffer(self) -> bytes:
        """The encoder as a LiteRT flatbuffer in this precision, from the cache where it is there.

        It has one signature, `embed_ids`: `token_ids`, `padding_mask` → `embedding`.

        Raises:
            InputError: if LiteRT does not compute in this precision.
            TfchainError: if LiteRT has no kernel for one of the encoder's ops.
        """
        check_precision(self.precision, "litert", self.calibration is not None)
        return self._start_litert().read()

    def refresh(self, cache_key: str | None = None) -> None:
        """Forgets what was made of the old weights; call it when the encoder's weights have changed.

        Args:
            cache_key: The new fingerprint; without one, `auto` runs in TensorFlow from now on.
        """
        with self._lock:
            self.cache_key = cache_key
            self._function = self._run = self._run_one = self._native = self._pool = self._compute_encoder = None
            self._may_be_native = self._has_native_precision

    def after_fork(self) -> None:
        """Forgets who held the lock: a thread of the parent's, which cannot give it back."""
        self._lock = threading.RLock()

    def _has_written_padding(self, token_ids: Sequence[Sequence[int]]) -> bool:
        """Whether padding is written in a text, and shifts the positions of what is behind it."""
        offset = self._encoder.config.transformer.position_offset
        return offset > 0 and any(offset - 1 in ids for ids in token_ids)

    def _run_around_padding(
        self,
        native: NativeEncoder,
        token_ids: Sequence[Sequence[int]],
        batch_size: int,
        skipped: int,
        progress: Callable[[int], Any] | None,
    ) -> np.ndarray:
        """The kernels count positions from a text's first token: TensorFlow computes the few texts with others."""
        vectors = np.empty((len(token_ids), self.embedding_dim), dtype="float32")
        is_other = np.array([self._has_written_padding([ids]) for ids in token_ids])
        rows = np.flatnonzero(~is_other).tolist()
        if rows:
            some = [token_ids[row] for row in rows]
            vectors[rows] = native.encode(some, batch_size=batch_size, skipped=skipped, progress=progress)
        for row in np.flatnonzero(is_other).tolist():
            vectors[row] = self._run_tensorflow(*pad([token_ids[row]], self.pad_token_id, skipped=skipped))[0]
            if progress is not None:
                progress(1)
        return vectors

    @property
    def _no_vectors(self) -> np.ndarray:
        return np.zeros((0, self.embedding_dim), dtype="float32")

    @property
    def _has_native_precision(self) -> bool:
        return self.engine in ("auto", "native") and self.precision == "int8" and self.calibration is None

    def _start_native(self) -> NativeEncoder | None:
        """The encoder on the project's own kernels; None where they cannot run it, and LiteRT does."""
        with self._lock:
            if self._native is None and self._may_be_native:
                obstacle = find_obstacle_of(self._encoder)
                if obstacle is None:
                    self._native = NativeEncoder(self._encoder, num_threads=count_cores())
                elif self.engine == "native":
                    raise _make_native_error(obstacle)
                else:
                    logger.info("LiteRT runs the encoder in int8, not tfchain's own kernels: %s.", obstacle)
                    self._may_be_native = False
            return self._native

    def _start_one(self) -> Run:
        """What runs a text alone: in int8 a flatbuffer for one text, else the same as for many.

        In float32 it would save a fiftieth of a query, and hold four times as much.
        """
        with self._lock:
            if self._run_one is None:
                has_own = self.precision == "int8" and self.needs_flatbuffer and type(self._encoder) is Encoder
                self._run_one = self._start_litert(is_single=True) if has_own else self._run or self._start()
            return self._run_one

    def _start(self) -> Run:
        with self._lock:
            if self._run is not None:  # another thread was quicker
                return self._run
            needs_litert = self.engine == "litert" or self.needs_flatbuffer
            if needs_litert or (self.engine == "auto" and self.cache_key and self._suits_litert()):
                try:
                    self._run = self._start_litert()
                except TfchainError as error:
                    if needs_litert:
                        raise
                    logger.info("%s The encoder runs in TensorFlow.", error)
            if self._run is None:
                self._run = self._run_tensorflow
            return self._run

    def _find_pool(self, run: Any, lengths: np.ndarray) -> LiteRTPool | None:
        """Interpreters of one thread for many texts in int8; None where the one interpreter is as good.

        Two of one thread encode about a twentieth to a tenth more texts than one of two threads, which waits at each of
        its small steps (benchmarks/batches.py). In float32 they would hold four times as much, twice more.
        """
        cores = count_cores()
        num_threads = -(-cores // MOST_INTERPRETERS)
        size = cores // num_threads
        is_many = lengths.sum() >= POOL_TOKENS and len(lengths) >= size > 1
        if self.precision != "int8" or not is_many or not isinstance(run, LiteRTEncoder):
            return None
        with self._lock:
            if run is not self._run:  # refreshed meanwhile; this call goes on with the weights that it began with
                return None
            if self._pool is None:
                try:
                    self._pool = LiteRTPool(run.model, size=size, num_threads=num_threads)
                except ValueError:  # the file has been cleared out of the cache; the one interpreter has it still
                    logger.info("The flatbuffer is not in the cache any more: one interpreter encodes all.")
                    return None
            return self._pool

    def _suits_litert(self) -> bool:
        import tensorflow as tf

        small = self._encoder.count_params() * 4 < LARGEST_FLATBUFFER
        return self.precision == "float32" and small and not tf.config.list_physical_devices("GPU")

    def _start_litert(self, *, is_single: bool = False) -> LiteRTEncoder:
        convert = functools.partial(self._convert, is_single=is_single)
        if self.cache_key is not None:
            name = f"{self._cache_name}-single" if is_single else self._cache_name
            with contextlib.suppress(_OtherWeightsError):
                return load_cached(name, functools.partial(self._check_made, convert))
            self.refresh()
        return LiteRTEncoder(convert())

    def _check_made(self, convert: Callable[[], bytes]) -> bytes:
        """A flatbuffer for the cache, and for this process beside one that was made before: of the same weights."""
        made = convert()
        if fingerprint_model(self._encoder) != self.cache_key:  # changed without a word
            raise _OtherWeightsError
        return made

    def _convert(self, *, is_single: bool = False) -> bytes:
        make = make_single_function if is_single else make_function
        logger.info(
            "Converting the encoder for LiteRT in %s%s; this happens once a model.",
            *(self.precision, " for single texts" if is_single else ""),
        )
        with show_progress(1, "preparing the model for this processor, once", shown=sys.stderr.isatty()):
            return convert_encoder(self._encoder, make(self._encoder), self.precision)

    @property
    def _cache_name(self) -> str:
        import tensorflow as tf

        name = f"{self.cache_key}-{tf.__version__}-{metadata.version('tfchain')}-{CONVERSION}"
        return name if self.precision == "float32" else f"{name}-{self.precision}"

    def _run_tensorflow(self, token_ids: np.ndarray, padding_mask: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        check_tensorflow_runs()
        return self.function(tf.constant(token_ids), tf.constant(padding_mask))["embedding"].numpy()


def _make_native_error(obstacle: str) -> InputError:
    return InputError(
        f"`engine` 'native' cannot run this encoder here: {obstacle}. Received: engine='native'. "
        "Use engine='auto', which takes LiteRT then."
    )


def make_function(encoder: keras.Model) -> Any:
    """The encoder as a `tf.function` of `token_ids` and `padding_mask`, int32 `(None, None)`."""
    import tensorflow as tf

    def embed(token_ids: Any, padding_mask: Any) -> Any:
        return {"embedding": encoder({"token_ids": token_ids, "padding_mask": padding_mask}, training=False)}

    specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in ("token_ids", "padding_mask")]
    return tf.function(embed, input_signature=specs, autograph=False)


def pad(token_ids: Sequence[Sequence[int]], pad_token_id: int, *, skipped: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of several texts as one rectangle.

    Args:
        token_ids: Each text's ids.
        pad_token_id: Fills shorter texts up.
        skipped: How many of each text's first tokens pooling leaves out (a prompt). Default: 0.

    Returns:
        `token_ids` and `padding_mask`, int32 `(texts, longest)`: the mask is 1 for a token, 2 for one that is skipped,
        0 for padding.
    """
    longest = max((len(ids) for ids in token_ids), default=0) or 1
    rectangle = np.full((len(token_ids), longest), pad_token_id, dtype="int32")
    mask = np.zeros((len(token_ids), longest), dtype="int32")
    for row, ids in enumerate(token_ids):
        rectangle[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
        mask[row, : min(skipped, len(ids))] = 2
    return rectangle, mask
