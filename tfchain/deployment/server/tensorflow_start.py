"""Imports TensorFlow into the server: at its start, or when the first version needs it."""

import importlib.util
import logging
import os
import threading

_lock = threading.Lock()


def has_tensorflow() -> bool:
    """Returns whether TensorFlow is installed, and not only its messages, as in an image without it."""
    found = importlib.util.find_spec("tensorflow")
    return found is not None and found.origin is not None


def start_tensorflow() -> None:
    """Imports TensorFlow and TF Text's ops, which a model's graph may need; later calls do nothing."""
    with _lock:
        import tensorflow as tf

        from tfchain.runtime.allocator import keep_memory_between_steps
        from tfchain.runtime.fork import is_tensorflow_started
        from tfchain.runtime.tf_text import load_tf_text

        if not is_tensorflow_started():
            keep_memory_between_steps(os.environ)
        load_tf_text()
        tf.get_logger().setLevel(logging.ERROR)
        logging.getLogger("absl").setLevel(logging.ERROR)
