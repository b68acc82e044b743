"""Converts an encoder to a LiteRT flatbuffer that runs on the CPU, and caches flatbuffers between processes.

LiteRT's float32 kernels take about half of TensorFlow's time for a query, and encode in bulk at least as fast.
"""

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfchain.core.atomic import write_file
from tfchain.core.errors import TfchainError
from tfchain.core.signatures import EMBED_IDS
from tfchain.models.engines.litert_signature import add_signature_metadata
from tfchain.models.precision import Precision
from tfchain.runtime.child_process import make_environment, make_python_command
from tfchain.runtime.litert import LiteRTEncoder
from tfchain.runtime.quiet_stderr import quiet_native_log

logger = logging.getLogger(__name__)

CONVERSION_SECONDS = 1800
CACHED_FILES = 12  # the oldest are deleted when there are more


def convert_encoder(encoder: Any, function: Any, precision: Precision = "float32") -> bytes:
    """Converts an encoder to a flatbuffer in a child process: the converter takes gigabytes, and does not free them.

    Args:
        encoder: The Keras model.
        function: The model as a `tf.function` of `token_ids` and `padding_mask`, int32 `(None, None)` or `(1, None)`.
        precision: `int8` and `float16` quantize the weights. Default: `float32`.

    Returns:
        The flatbuffer's bytes; its signature is `embed_ids`.

    Raises:
        TfchainError: if LiteRT has no kernel for one of the encoder's ops, or the conversion takes too long.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory(prefix="tfchain-litert-") as folder:
        source, target = Path(folder) / "model", Path(folder) / "model.tflite"
        module = tf.Module()
        module.variables_of_encoder = [weight.value for weight in encoder.weights]
        with quiet_native_log():
            tf.saved_model.save(module, str(source), signatures={EMBED_IDS: function})
        reason = run_converter(source, target, precision)
        if reason is not None:
            advice = "Use engine='tensorflow'." if precision == "float32" else "Use precision='float32'."
            raise TfchainError(f"{reason} {advice}")
        return target.read_bytes()


def run_converter(source: Path, target: Path, precision: Precision) -> str | None:
    """Runs `convert_folder` in a child process; returns None, or a sentence about what went wrong."""
    command = make_python_command("-m", "tfchain.models.engines.litert_conversion", str(source), str(target), precision)
    try:
        done = subprocess.run(
            command,
            env=make_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=CONVERSION_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"LiteRT's converter did not finish within {CONVERSION_SECONDS} seconds."
    if not done.returncode:
        return None
    # The child also prints native log lines; the last line is the error, if there is an error.
    return f"LiteRT cannot run this encoder: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}."


def convert_folder(source: str, target: str, precision: str) -> None:
    """Converts the signature `embed_ids` of a SavedModel; runs in the child process."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(source, signature_keys=[EMBED_IDS])
    if precision == "float32":
        Path(target).write_bytes(converter.convert())
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]  # without calibration samples, this is dynamic range
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    Path(target).write_bytes(add_signature_metadata(converter.convert()))


def load_cached(name: str, make: Callable[[], bytes]) -> LiteRTEncoder:
    """Loads a flatbuffer from the cache; makes and caches it first if it is missing or damaged.

    The cache is `$XDG_CACHE_HOME/tfchain/litert` (`~/.cache/tfchain/litert`); it can be deleted at any time. If it
    cannot be read or written, the flatbuffer is made again and kept in memory.

    Args:
        name: Identifies the model and the versions that converted it.
        make: Returns the flatbuffer's bytes.
    """
    path: Path | None = None
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: the user has no home
        path = (
            Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfchain" / "litert" / f"{name}.tflite"
        )
        if path.is_file():
            with contextlib.suppress(OSError):
                os.utime(path)  # the least recently used files are deleted
            with contextlib.suppress(ValueError):  # damaged
                return LiteRTEncoder(path)
    flatbuffer = make()
    if path is not None:
        with contextlib.suppress(OSError, TfchainError, ValueError):
            write_file(path, flatbuffer)
            by_age = sorted(path.parent.glob("*.tflite"), key=lambda cached: cached.stat().st_mtime, reverse=True)
            for old in by_age[CACHED_FILES:]:
                old.unlink(missing_ok=True)
            return LiteRTEncoder(path)
        logger.info("The cache %s cannot be written: the converted model is kept in memory.", path.parent)
    return LiteRTEncoder(flatbuffer)


def explain(error: Exception) -> str:
    """Returns the line of the converter's long output that names the error, such as an op without a kernel."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line.split("error: ", 1)[1] for line in lines if "error: " in line]
    return (named or lines or [type(error).__name__])[0]


if __name__ == "__main__":
    try:
        convert_folder(*sys.argv[1:4])
    except Exception as error:  # the parent reports any error in one line
        sys.exit(explain(error))
