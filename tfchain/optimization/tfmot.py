"""The one door to TensorFlow Model Optimization, whose algorithms run on Keras 3 variables."""

import importlib
import os
import threading
from types import ModuleType

from tfchain.core.errors import MissingPackageError

LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
_lock = threading.Lock()


def load_tfmot(module: str) -> ModuleType:
    """Imports a module of TensorFlow Model Optimization, and leaves the process's environment unchanged.

    The package's own import sets `TF_USE_LEGACY_KERAS`, which would give Keras 2 to every later process. Its wrappers
    refuse Keras 3 models; the algorithms below `tensorflow_model_optimization.python.core` work on them.

    Args:
        module: The module's name there, such as `sparsity.keras.pruning_impl` or `quantization.keras.quant_ops`.

    Returns:
        The module.

    Raises:
        MissingPackageError: if the package is not installed.
    """
    import tensorflow as tf

    assert tf.keras.Model  # TensorFlow chooses its Keras on first use: now, before the import

    with _lock:
        before = os.environ.get(LEGACY_KERAS)
        try:
            return importlib.import_module(f"tensorflow_model_optimization.python.core.{module}")
        except ImportError as error:
            raise MissingPackageError(
                "Pruning, clustering and quantization-aware training need the package tensorflow-model-optimization. "
                f"Received: {error}. Install it with `pip install tensorflow-model-optimization`."
            ) from error
        finally:
            if before is None:
                os.environ.pop(LEGACY_KERAS, None)
            else:
                os.environ[LEGACY_KERAS] = before
