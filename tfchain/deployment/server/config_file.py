"""The watch over the model config file: reads it again and again, and passes on what has changed."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfchain.deployment.server.config import read_config_file
from tfchain.deployment.server.status import StatusError

logger = logging.getLogger(__name__)


class ConfigFileWatch:
    """Reads the model config file in its own thread.

    A file that cannot be read, or whose configuration is refused, is logged, and changes nothing.

    Args:
        path: The file.
        on_config: A function called with the `ModelServerConfig` after each read; it raises a StatusError to refuse it.
        poll_seconds: The seconds between two reads, above 0.
    """

    def __init__(self, path: Path, on_config: Callable[[Any], None], *, poll_seconds: float) -> None:
        self._path = path
        self._on_config = on_config
        self._poll_seconds = poll_seconds
        self._last_error = ""
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Reads the file repeatedly, for the first time after one wait."""
        self._thread = threading.Thread(target=self._poll, name="config-file", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops reading."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def poll_once(self) -> bool:
        """Reads the file once, and passes its configuration on.

        Returns:
            Whether the configuration was read and taken.
        """
        error = ""
        try:
            self._on_config(read_config_file(self._path))
        except StatusError as refusal:
            error = f"Reading {self._path} again failed; the old configuration goes on. {refusal}"
        except Exception as surprise:  # which must not end the watch
            error = f"Reading {self._path} again failed; the old configuration goes on. {surprise!r}"
        if error and error != self._last_error:  # once, and not at every poll
            logger.error("%s", error)
        self._last_error = error
        return not error

    def _poll(self) -> None:
        while not self._closing.wait(self._poll_seconds):
            self.poll_once()
