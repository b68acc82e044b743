"""The life cycle of a version: its states, and the manager's record of it."""

import enum
from dataclasses import dataclass
from pathlib import Path

from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import StatusError


class State(enum.IntEnum):
    """The states of a version, with the numbers of TensorFlow Serving's `ModelVersionStatus.State`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The status of a version for clients.

    Args:
        version: The version's number.
        state: The state.
        error: The error of its failed load, or None.
    """

    version: int
    state: State
    error: StatusError | None = None


@dataclass(slots=True, eq=False)
class VersionRecord:
    """The manager's record of a version; changed only under the manager's lock."""

    name: str
    version: int
    path: Path
    state: State = State.START
    error: StatusError | None = None
    servable: Servable | None = None
    num_leases: int = 0
    is_wanted: bool = True
    predecessor: "VersionRecord | None" = None  # of another folder, it answers until this one can
    refused_path: Path | None = None  # the folder whose load failed, so that this one stayed

    def answering(self) -> "VersionRecord | None":
        """Returns the record that answers requests for this version: this one, its predecessor, or None."""
        if self.state is State.AVAILABLE:
            return self
        return self.predecessor

    def end(self, error: StatusError | None) -> None:
        """Marks the version as ended, after an unload or a failed load."""
        self.state, self.error = State.END, error

    def status(self) -> VersionStatus:
        """Returns the status for clients."""
        if self.predecessor is not None:
            return self.predecessor.status()
        error = self.error if self.state is State.END else None  # a load that is tried again has not failed yet
        return VersionStatus(self.version, self.state, error)

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"
