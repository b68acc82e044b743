"""The one door to LiteRT's interpreter: an encoder's flatbuffer on the CPU, alone or as a pool of interpreters.

It uses TensorFlow's own `tf.lite.Interpreter`, which needs no other package: ai-edge-litert was at best as fast on the
same file, and on one machine took twice as long.
"""

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfchain.core.errors import InputError, TfchainError
from tfchain.core.signatures import EMBED_IDS
from tfchain.runtime.fork import keep_forever, renew_after_fork
from tfchain.runtime.quiet_stderr import quiet_native_log

# Tokens in a batch, per thread of an interpreter: with more, the layers' activations no longer fit the CPU's caches.
TOKENS_A_THREAD = 256  # benchmarks/batches.py
MOST_ERRORS = 100  # before an interpreter is replaced: it keeps all error messages, and repeats them with the next


class LiteRTEncoder:
    """Runs an encoder's flatbuffer, one call at a time: threads wait for each other on a lock.

    Args:
        model: The flatbuffer's bytes, or the path of its file, which is mapped into memory rather than read.
        num_threads: Threads for the kernels. Default: one per core.

    Raises:
        ValueError: if it is not a flatbuffer, or the file does not exist.
        InputError: if it has no signature `embed_ids`.
    """

    def __init__(self, model: bytes | Path, num_threads: int | None = None) -> None:
        self.model = model
        self.num_threads = num_threads or count_cores()
        self._lock = threading.Lock()
        self._shape: tuple[int, ...] = ()
        self._is_open = False
        self._open()
        renew_after_fork(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(batch, length)` of the last call, for which memory is already allocated; empty before the first call."""
        return self._shape

    def __call__(self, token_ids: np.ndarray, padding_mask: np.ndarray) -> np.ndarray:
        """Encodes token ids and their mask, int32 `(batch, length)`, as vectors, float32 `(batch, dim)`."""
        with self._lock:
            if not self._is_open:
                self._open_again()
            try:
                return self._run(token_ids, padding_mask)
            except (RuntimeError, ValueError) as error:
                self._shape = ()  # the allocation may be incomplete
                self._num_errors += isinstance(error, RuntimeError)
                if self._num_errors == MOST_ERRORS:
                    self._open()
                raise

    def read(self) -> bytes:
        """Returns the flatbuffer's bytes."""
        return self.model if isinstance(self.model, bytes) else self.model.read_bytes()

    def after_fork(self) -> None:
        """Gives up the interpreter, which computes on the parent's threads; the next call opens a new one."""
        keep_forever(self._interpreter)
        self._lock = threading.Lock()
        self._is_open = False

    def _open_again(self) -> None:
        try:
            self._open()
        except ValueError as error:
            raise TfchainError(
                f"This process was forked, and cannot read {self.model!s:.200} again: {error}. "
                "Load the chain after the fork."
            ) from error

    def _open(self) -> None:
        import tensorflow as tf

        model = self.model
        source = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
        with quiet_native_log(), warnings.catch_warnings():
            # The warning recommends ai-edge-litert, which is not faster.
            warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
            self._interpreter = tf.lite.Interpreter(**source, num_threads=self.num_threads)
        signatures = sorted(self._interpreter.get_signature_list())
        if EMBED_IDS not in signatures:
            raise InputError(
                f"A flatbuffer must have the signature {EMBED_IDS}. Received: {', '.join(signatures) or 'none'}. "
                "Use one that a chain exported."
            )
        self._shape = ()
        self._num_errors = 0
        self._inputs = {_plain(entry["name"]): entry["index"] for entry in self._interpreter.get_input_details()}
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._is_open = True

    def _run(self, token_ids: np.ndarray, padding_mask: np.ndarray) -> np.ndarray:
        if token_ids.shape != self._shape:
            with quiet_native_log() if not self._shape else contextlib.nullcontext():
                for index in self._inputs.values():
                    self._interpreter.resize_tensor_input(index, token_ids.shape)
                self._interpreter.allocate_tensors()
            self._shape = token_ids.shape
        self._interpreter.set_tensor(self._inputs["token_ids"], token_ids)
        self._interpreter.set_tensor(self._inputs["padding_mask"], padding_mask)
        self._interpreter.invoke()
        return np.array(self._interpreter.get_tensor(self._output))


class LiteRTPool:
    """Several interpreters of one flatbuffer, for calls from many threads; each call has an interpreter to itself.

    Args:
        model: As for `LiteRTEncoder`.
        size: The number of interpreters; each keeps its own copy of the weights, laid out for its kernels.
        num_threads: Threads of each interpreter.

    Raises:
        ValueError: if it is not a flatbuffer, or the file does not exist.
        InputError: if it has no signature `embed_ids`.
    """

    def __init__(self, model: bytes | Path, *, size: int, num_threads: int) -> None:
        self.model = model
        self.size = size
        self.num_threads = num_threads
        self._encoders = [LiteRTEncoder(model, num_threads) for _ in range(size)]
        self._idle = list(self._encoders)
        self._returned = threading.Condition()
        renew_after_fork(self)

    def __call__(
        self, token_ids: np.ndarray, padding_mask: np.ndarray, timeout_seconds: float | None = None
    ) -> np.ndarray:
        """Encodes as `LiteRTEncoder` does; first waits for an interpreter if all are busy.

        Args:
            token_ids: int32 `(batch, length)`.
            padding_mask: int32 `(batch, length)`.
            timeout_seconds: How long to wait for an interpreter. Default: until one is free.

        Returns:
            float32 `(batch, dim)`.

        Raises:
            TimeoutError: if no interpreter was free in time.
            RuntimeError: if a kernel refuses the values.
            ValueError: if the arrays do not fit the inputs.
        """
        with self._lend(token_ids.shape, timeout_seconds) as encoder:
            return encoder(token_ids, padding_mask)

    def after_fork(self) -> None:
        """Takes back the lent interpreters: the threads that would return them exist only in the parent."""
        self._idle = list(self._encoders)
        self._returned = threading.Condition()

    @contextlib.contextmanager
    def _lend(self, shape: tuple[int, ...], timeout_seconds: float | None) -> Iterator[LiteRTEncoder]:
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        with self._returned:
            while not self._idle:
                left = 1.0 if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"No interpreter was free within {timeout_seconds} s.")
                self._returned.wait(left)
            lent = next((encoder for encoder in self._idle if encoder.shape == shape), self._idle[-1])
            self._idle.remove(lent)
        try:
            yield lent
        finally:
            with self._returned:
                self._idle.append(lent)
                self._returned.notify()


def count_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _plain(name: str) -> str:
    """`embed_ids_token_ids:0` → `token_ids`."""
    return name.split(":")[0].removeprefix("serving_default_").removeprefix(f"{EMBED_IDS}_")
