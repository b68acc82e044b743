"""Where versions come from: a base path that is looked at again and again, and a policy that chooses among them."""

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
    """The default policy: the highest version alone."""
    return {version: versions[version] for version in sorted(versions)[-1:]}


def latest_of(source: str) -> Policy:
    """A policy: the highest of the versions that one source exported, whatever others export beside them.

    Args:
        source: As `export` wrote it into the description.
    """

    def choose(versions: Versions) -> Versions:
        own = (version for version in sorted(versions, reverse=True) if read_source(versions[version]) == source)
        return {version: versions[version] for version in islice(own, 1)}

    return choose


class FileSystemSource:
    """Watches one model's base path.

    A base path that cannot be read changes nothing: versions vanish only when it can be read and lists none.

    Args:
        name: The model's name.
        base_path: The folder of version folders.
        on_versions: Told `(name, versions)` after each look.
        policy: Chooses among the versions found.
        poll_seconds: The wait between two looks; 0 to look once, negative never to look.
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
        """Looks once and tells what was found.

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
        """Looks once, then again and again in a thread of its own."""
        if self._poll_seconds < 0:
            return
        self.poll_once()
        if self._poll_seconds > 0:
            self._thread = threading.Thread(target=self._poll, name=f"source-{self.name}", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stops looking."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def _poll(self) -> None:
        while not self._closing.wait(self._poll_seconds):
            try:
                self.poll_once()
            except Exception:  # the server must go on looking, whatever one look met
                logger.exception("model %s: looking for versions failed", self.name)
