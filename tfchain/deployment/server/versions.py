"""The life of one version: its states, and what the manager notes about it."""

import enum
from dataclasses import dataclass
from pathlib import Path

from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import StatusError


class State(enum.IntEnum):
    """What a version is doing, with the numbers of TensorFlow Serving's `ModelVersionStatus.State`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """What clients are told about a version.

    Args:
        version: Its number.
        state: What it is doing.
        error: Why its load failed, or None.
    """

    version: int
    state: State
    error: StatusError | None = None


@dataclass(slots=True, eq=False)
class VersionRecord:
    """What the manager notes about a version; changed under the manager's lock only."""

    name: str
    version: int
    path: Path
    state: State = State.START
    error: StatusError | None = None
    servable: Servable | None = None
    num_leases: int = 0
    is_wanted: bool = True

    def end(self, error: StatusError | None) -> None:
        """Marks the version as gone, after an unload or a failed load."""
        self.state, self.error = State.END, error

    def status(self) -> VersionStatus:
        """Returns what clients are told."""
        return VersionStatus(self.version, self.state, self.error)

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"
