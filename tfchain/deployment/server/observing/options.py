"""Who observes a server's answers, and how many of them."""

from collections.abc import Callable
from dataclasses import dataclass

from tfchain.core.errors import InputError
from tfchain.core.observation import AddGauge, FindVersion, Monitor

MakeMonitor = Callable[[AddGauge, FindVersion], Monitor | None]


@dataclass(frozen=True, slots=True)
class ObservingOptions:
    """Who observes a server's answers, and how many of them.

    Args:
        make_monitor: Makes the monitor when the server starts, with a function that adds gauges to its metrics, and one
            that finds the versions that answer; the server closes it. Default: there is none.
        measures_texts: Whether metrics of the texts are kept without a monitor, too. Default: False.
        share: The share of the requests that is observed, from 0 to 1. Default: 1.

    Raises:
        InputError: if `share` is out of range.
    """

    make_monitor: MakeMonitor | None = None
    measures_texts: bool = False
    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise InputError(
                f"`query_log_sample` must be from 0 to 1. Received: {self.share}. Use 0.1 for a tenth of the requests."
            )
