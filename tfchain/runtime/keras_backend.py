"""The check of Keras' backend: tfchain computes on TensorFlow, whatever Keras is set to elsewhere."""

import json
import os
import sys
from pathlib import Path

from tfchain.core.errors import InputError

VARIABLE = "KERAS_BACKEND"


def check_keras_backend() -> None:
    """Stops a program whose Keras is set to another backend than TensorFlow, before Keras looks for that one.

    Rooms that import Keras call it when they are imported. It looks where Keras looks: at Keras itself if it is
    imported, else at the environment, else at keras.json.

    Raises:
        InputError: if the backend is another one; the message names where it is set.
    """
    backend, place = find_keras_backend()
    if backend == "tensorflow":
        return
    raise InputError(
        f"tfchain needs Keras on the backend 'tensorflow'. Received: {backend!r} from {place}. "
        f"Set {VARIABLE}=tensorflow in the environment, before Keras is imported."
    )


def find_keras_backend() -> tuple[str, str]:
    """The backend that Keras has or would take, and where it is set."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return keras.config.backend(), f"Keras, which is imported already ({VARIABLE} or keras.json)"
    named = os.environ.get(VARIABLE)
    if named:
        return named, f"the environment variable {VARIABLE}"
    path = _find_settings()
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # as Keras does, which writes a new one
        settings = {}
    named = settings.get("backend") if isinstance(settings, dict) else None
    return (named, str(path)) if isinstance(named, str) else ("tensorflow", "Keras' default")


def _find_settings() -> Path:
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser() / "keras.json"
    home = Path("~").expanduser()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras" / "keras.json"
