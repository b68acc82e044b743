"""The source of versions: polls the models' base paths, and passes on the versions that their policies choose."""

import logging
import threading
from collections.abc import Callable, Mapping

from tfchain.core.errors import InputError
from tfchain.deployment.repository import list_versions
from tfchain.deployment.server.config import ModelConfig
from tfchain.deployment.server.policies import Versions

logger = logging.getLogger(__name__)


class FileSystemSource:
    """Watches the models' base paths.

    A base path that cannot be read changes nothing: versions disappear only if a readable base path lacks them. A model
    that fails in a poll does not keep the others from theirs.

    Args:
        on_versions: A function called with `(name, versions)` for each model in each poll, and with no versions for a
            model that has left the configuration.
        poll_seconds: The seconds between polls; 0 polls once and after each change of the models, a negative number
            never. Default: 1.
    """

    def __init__(self, on_versions: Callable[[str, Versions], None], *, poll_seconds: float = 1.0) -> None:
        self._on_versions = on_versions
        self._poll_seconds = poll_seconds
        self._models: Mapping[str, ModelConfig] = {}
        self._lock = threading.Lock()  # a poll of replaced models must not end after the replacement
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def set_models(self, models: Mapping[str, ModelConfig]) -> None:
        """Replaces the models, reports those that have gone, and polls the rest at once."""
        with self._lock:
            gone = [name for name in self._models if name not in models]
            self._models = dict(models)
            for name in gone:
                self._on_versions(name, {})
        if self._poll_seconds >= 0:
            self.poll_once()

    def poll_once(self) -> bool:
        """Polls all models once, and passes on the chosen versions.

        Returns:
            Whether all base paths could be read.
        """
        with self._lock:
            found = [self._poll_model(model) for model in self._models.values()]
        return all(found)

    def start(self) -> None:
        """Polls repeatedly in its own thread."""
        if self._poll_seconds > 0:
            self._thread = threading.Thread(target=self._poll, name="source", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stops polling."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def _poll_model(self, model: ModelConfig) -> bool:
        try:
            versions = list_versions(model.base_path)
            chosen = model.policy(model.name, versions)
            if not chosen:
                logger.warning(
                    "No versions of servable %s found under base path %s. Did you forget to name your leaf directory "
                    "as a number (eg. '/1/')?",
                    model.name,
                    model.base_path,
                )
            self._on_versions(model.name, chosen)
        except InputError as error:
            logger.error("model %s: %s", model.name, error)
            return False
        except Exception:  # a failed poll must stop neither the later ones nor those of other models
            logger.exception("model %s: looking for versions failed", model.name)
            return False
        return True

    def _poll(self) -> None:
        while not self._closing.wait(self._poll_seconds):
            self.poll_once()
