"""`MonitorGroup`: several monitors of one server, as one."""

from collections.abc import Callable, Sequence
from typing import Any

from tfchain.core.observation import Feedback, Monitor, Observation


class MonitorGroup:
    """Hands what a server tells to several monitors, in their order. It is a `core.observation.Monitor` itself.

    A monitor that fails does not keep the others from what they are told; the first error is raised afterwards.

    Args:
        monitors: The monitors.
    """

    def __init__(self, monitors: Sequence[Monitor]) -> None:
        self._monitors = tuple(monitors)

    def observe(self, observation: Observation) -> None:
        """Takes an answered text."""
        self._tell([monitor.observe for monitor in self._monitors], observation)

    def take_feedback(self, feedback: Feedback) -> None:
        """Takes an event."""
        self._tell([monitor.take_feedback for monitor in self._monitors], feedback)

    def tick(self) -> None:
        """Says that time has passed."""
        self._tell([monitor.tick for monitor in self._monitors])

    def close(self) -> None:
        """Closes all monitors."""
        self._tell([monitor.close for monitor in self._monitors])

    def _tell(self, parts: Sequence[Callable[..., None]], *arguments: Any) -> None:
        first: Exception | None = None
        for part in parts:
            try:
                part(*arguments)
            except Exception as error:
                first = first or error
        if first is not None:
            raise first
