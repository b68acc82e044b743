"""LiteRT as an engine: an encoder as a flatbuffer that runs on the CPU, kept in a cache between processes.

LiteRT's fp32 kernels answer one query in about half of TensorFlow's time, and encode in bulk at least as fast.
TensorFlow's own `tf.lite.Interpreter` is used: it ran the same file in half the time of the package ai-edge-litert.
"""

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.atomic import write_file
from tfchain.core.errors import TfchainError
from tfchain.core.native_log import quiet_native_log
from tfchain.models.litert_signature import SIGNATURE, add_signature_metadata
from tfchain.models.precision import Precision

logger = logging.getLogger(__name__)

CONVERSION_SECONDS = 1800
CACHED_FILES = 8  # the oldest go when there are more


class LiteRTEncoder:
    """Runs a flatbuffer made by `convert_encoder`. One call at a time: a lock keeps threads apart.

    Args:
        model: The flatbuffer's bytes, or the path of its file, which is mapped into memory rather than read.
        num_threads: Threads for the kernels. Default: one a core.
    """

    def __init__(self, model: bytes | Path, num_threads: int | None = None) -> None:
        import tensorflow as tf

        self._model = model
        source = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
        with quiet_native_log(), warnings.catch_warnings():
            # It points to ai-edge-litert, which is slower.
            warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
            self._interpreter = tf.lite.Interpreter(**source, num_threads=num_threads or len(os.sched_getaffinity(0)))
        self._lock = threading.Lock()
        self._shape: tuple[int, ...] = ()
        self._inputs = {_plain(one["name"]): one["index"] for one in self._interpreter.get_input_details()}
        self._output = self._interpreter.get_output_details()[0]["index"]

    def __call__(self, token_ids: np.ndarray, padding_mask: np.ndarray) -> np.ndarray:
        """Token ids and mask, int32 `(batch, length)`, to vectors float32 `(batch, dim)`."""
        with self._lock:
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

    def read(self) -> bytes:
        """The flatbuffer."""
        return self._model if isinstance(self._model, bytes) else self._model.read_bytes()


def convert_encoder(encoder: Any, function: Any, precision: Precision = "float32") -> bytes:
    """Turns an encoder into a flatbuffer, in a process of its own: the converter takes gigabytes, and keeps them.

    Args:
        encoder: The Keras model.
        function: It as a `tf.function` of `token_ids` and `padding_mask`, int32 `(None, None)`.
        precision: `int8` and `float16` quantize the weights. Default: `float32`.

    Returns:
        The flatbuffer's bytes; its signature is `embed_ids`.

    Raises:
        TfchainError: if LiteRT has no kernel for one of the encoder's ops.
    """
    import tensorflow as tf

    advice = "Use engine='tensorflow'." if precision == "float32" else "Use precision='float32'."
    with tempfile.TemporaryDirectory(prefix="tfchain-litert-") as folder:
        source, target = Path(folder) / "model", Path(folder) / "model.tflite"
        module = tf.Module()
        module.variables_of_encoder = [weight.value for weight in encoder.weights]
        with quiet_native_log():
            tf.saved_model.save(module, str(source), signatures={SIGNATURE: function})
        # The child prints native log lines that nobody asked for; the last line is the error, if there is one.
        command = [sys.executable, "-m", "tfchain.models.litert", str(source), str(target), precision]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CONVERSION_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise TfchainError(
                f"LiteRT's converter did not end within {CONVERSION_SECONDS} seconds. {advice}"
            ) from error
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise TfchainError(f"LiteRT cannot run this encoder: {reason}. {advice}")
        return target.read_bytes()


def convert_folder(source: str, target: str, precision: str) -> None:
    """Converts the signature `embed_ids` of a SavedModel; what the child process does."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(source, signature_keys=[SIGNATURE])
    if precision == "float32":
        Path(target).write_bytes(converter.convert())
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]  # without samples to calibrate with: dynamic range
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    Path(target).write_bytes(add_signature_metadata(converter.convert()))


def load_cached(name: str, make: Callable[[], bytes]) -> LiteRTEncoder:
    """The encoder of a flatbuffer in the cache; made and put there first if it is not there, or damaged.

    The cache is `$XDG_CACHE_HOME/tfchain/litert` (`~/.cache/tfchain/litert`); it can be deleted at any time. Where it
    cannot be read or written, the flatbuffer is made anew and held in memory.

    Args:
        name: Names the model and the versions that made it.
        make: Gives the bytes.
    """
    path: Path | None = None
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: the user has no home
        path = (
            Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfchain" / "litert" / f"{name}.tflite"
        )
        if path.is_file():
            with contextlib.suppress(OSError):
                os.utime(path)  # the ones not used for longest are cleared away
            with contextlib.suppress(ValueError):  # damaged
                return LiteRTEncoder(path)
    made = make()
    if path is not None:
        with contextlib.suppress(OSError, TfchainError, ValueError):
            write_file(path, made)
            by_age = sorted(path.parent.glob("*.tflite"), key=lambda one: one.stat().st_mtime, reverse=True)
            for old in by_age[CACHED_FILES:]:
                old.unlink(missing_ok=True)
            return LiteRTEncoder(path)
        logger.info("The cache %s cannot be written: the converted model is held in memory alone.", path.parent)
    return LiteRTEncoder(made)


def _plain(name: str) -> str:
    """`embed_ids_token_ids:0` → `token_ids`."""
    return name.split(":")[0].removeprefix("serving_default_").removeprefix(f"{SIGNATURE}_")


def explain(error: Exception) -> str:
    """The one line of the converter's pages of text that names what is wrong, such as an op without a kernel."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line.split("error: ", 1)[1] for line in lines if "error: " in line]
    return (named or lines or [type(error).__name__])[0]


if __name__ == "__main__":
    try:
        convert_folder(*sys.argv[1:4])
    except Exception as error:  # whatever it is, the parent tells it in one line
        sys.exit(explain(error))
