"""The source of versions: polls a base path, and chooses versions by a policy."""

import logging
import threading
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

from tfchain.core.errors import InputError
from tfchain.deployment.repository import list_versions, read_source

logger = logging.getLogger(__name__)

Versions = Mapping[int, Path]
Policy = Callable[[Versions], Versions]


def latest(versions: Versions) -> Versions:
    """Chooses the highest version; the default policy."""
    return {version: versions[version] for version in sorted(versions)[-1:]}


def latest_of(source: str) -> Policy:
    """Returns a policy that chooses the highest version exported by a source, and ignores versions of other sources.

    Args:
        source: The `source` that `export` wrote to the description.
    """

    def choose(versions: Versions) -> Versions:
        own = (version for version in sorted(versions, reverse=True) if read_source(versions[version]) == source)
        return {version: versions[version] for version in islice(own, 1)}

    return choose


class FileSystemSource:
    """Watches one model's base path.

    A base path that cannot be read changes nothing: versions disappear only if a readable base path lacks them.

    Args:
        name: The model's name.
        base_path: The folder of version folders.
        on_versions: A function called with `(name, versions)` after each poll.
        policy: A function that chooses among the found versions. Default: the highest.
        poll_seconds: The seconds between polls; 0 polls once, a negative number never. Default: 1.
    """

    def __init__(
        self,
        name: str,
        base_path: Path | str,
        on_versions: Callable[[str, Versions], None],
        *,
        policy: Policy = latest,
        poll_seconds: float = 1.0,
    ) -> None:
        self.name = name
        self.base_path = Path(base_path)
        self._on_versions = on_versions
        self._policy = policy
        self._poll_seconds = poll_seconds
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def poll_once(self) -> bool:
        """Polls once, and passes on the chosen versions.

        Returns:
            Whether the base path could be read.
        """
        try:
            versions = list_versions(self.base_path)
        except InputError as error:
            logger.error("model %s: %s", self.name, error)
            return False
        if not versions:
            logger.warning("No versions of servable %s found under base path %s", self.name, self.base_path)
        self._on_versions(self.name, self._policy(versions))
        return True

    def start(self) -> None:
        """Polls once, and then repeatedly in its own thread."""
        if self._poll_seconds < 0:
            return
        self.poll_once()
        if self._poll_seconds > 0:
            self._thread = threading.Thread(target=self._poll, name=f"source-{self.name}", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stops polling."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def _poll(self) -> None:
        while not self._closing.wait(self._poll_seconds):
            try:
                self.poll_once()
            except Exception:  # a failed poll must not stop the later ones
                logger.exception("model %s: looking for versions failed", self.name)
