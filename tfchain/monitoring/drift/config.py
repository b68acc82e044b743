"""How drift is looked for: the size of the window, how often it is looked at, and how many false alarms are allowed."""

from dataclasses import asdict, dataclass
from typing import Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError

LEAST_WINDOW = 20  # below, nothing can be said about a distribution


@dataclass(frozen=True)
class DriftConfig:
    """How drift is looked for.

    Args:
        window: How many of the latest items (queries or documents) are compared with the reference. Default: 200.
        stride: After how many new items they are compared again; `window` must be a multiple. Default: 50.
        horizon: The number of items that `false_alarms` is about. Default: 10,000.
        false_alarms: The probability of a false alarm, or several, within `horizon` items. Default: 0.01.
        burst: How many items of the reference that follow each other belong together, such as the queries of a session.
            Thresholds are then higher, since such items are alike without any drift. At most `stride`. Default: 1,
            they do not.
        num_runs: How many streams are simulated to find the thresholds. Default: 2,000.
        most_vectors: How many vectors of the reference a window is compared with. Default: 500.
        seed: Of the simulation. Default: 0.

    Raises:
        InputError: if a value is out of range.
    """

    window: int = 200
    stride: int = 50
    horizon: int = 10_000
    false_alarms: float = 0.01
    burst: int = 1
    num_runs: int = 2_000
    most_vectors: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole_number("window", self.window, least=LEAST_WINDOW)
        check_whole_number("stride", self.stride)
        check_whole_number("horizon", self.horizon, least=self.window)
        check_whole_number("burst", self.burst)
        check_whole_number("num_runs", self.num_runs, least=20)
        check_whole_number("most_vectors", self.most_vectors, least=LEAST_WINDOW)
        check_whole_number("seed", self.seed, least=0)
        if self.window % self.stride:
            raise InputError(
                f"`window` must be a multiple of `stride`. Received: window={self.window}, stride={self.stride}.",
                argument="stride",
            )
        if self.burst > self.stride:
            raise InputError(
                f"`burst` must be at most `stride`. Received: burst={self.burst}, stride={self.stride}. "
                "Look less often.",
                argument="burst",
            )
        is_number = isinstance(self.false_alarms, int | float) and not isinstance(self.false_alarms, bool)
        if not is_number or not 0 < self.false_alarms < 1:
            raise InputError(
                f"`false_alarms` must be in (0, 1), a probability. Received: false_alarms={self.false_alarms!r}.",
                argument="false_alarms",
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)
