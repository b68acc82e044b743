"""The check of Keras' backend: tfchain needs Keras to run on TensorFlow."""

import json
import os
import sys
from pathlib import Path

from tfchain.core.errors import InputError

VARIABLE = "KERAS_BACKEND"


def check_keras_backend() -> None:
    """Refuses any Keras backend but TensorFlow, before Keras tries to import it.

    Rooms that import Keras call this when they are imported. It looks where Keras looks: at Keras itself if it is
    already imported, else at the environment, else at keras.json.

    Raises:
        InputError: if the backend is not TensorFlow; the message says where it is set.
    """
    backend, place = find_keras_backend()
    if backend == "tensorflow":
        return
    raise InputError(
        f"tfchain needs Keras on the backend 'tensorflow'. Received: {backend!r} from {place}. "
        f"Set {VARIABLE}=tensorflow in the environment, before Keras is imported."
    )


def find_keras_backend() -> tuple[str, str]:
    """Returns the backend that Keras uses or would use, and where it is set."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return keras.config.backend(), f"Keras, which is already imported ({VARIABLE} or keras.json)"
    named = os.environ.get(VARIABLE)
    if named:
        return named, f"the environment variable {VARIABLE}"
    path = _find_settings()
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # as Keras does, which then writes a new file
        settings = {}
    named = settings.get("backend") if isinstance(settings, dict) else None
    return (named, str(path)) if isinstance(named, str) else ("tensorflow", "Keras' default")


def _find_settings() -> Path:
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser() / "keras.json"
    home = Path("~").expanduser()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras" / "keras.json"
