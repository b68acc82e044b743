"""What a version must keep to before it goes live."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.errors import InputError

Rule = Literal["margin", "strict"]


@dataclass(frozen=True)
class ReleaseLimits:
    """The limits of the gate.

    Args:
        margin: The loss of the metric that is accepted, as a fraction of the live version's value. A version passes
            only if a larger loss can be excluded. Default: 0.02, two in a hundred.
        alpha: The probability of letting through a version that is worse by the margin. Default: 0.05.
        rule: `margin`: as said. `strict`: the version must also not be worse, significantly, by less than the margin.
            Default: `margin`.
        max_latency_ms: The most milliseconds of a single question, at the 95th percentile. Default: no limit.
        max_size_mb: The most megabytes (10^6 bytes) of the version's files. Default: no limit.
        min_overlap: The least mean overlap of the two versions' ten best answers, from 0 to 1. Default: no limit, it is
            only reported.
        server: The oldest TensorFlow Serving that must run the version, such as `2.20`. Default: `2.20`.

    Raises:
        InputError: if a value is out of range.
    """

    margin: float = 0.02
    alpha: float = 0.05
    rule: Rule = "margin"
    max_latency_ms: float | None = None
    max_size_mb: float | None = None
    min_overlap: float | None = None
    server: str = "2.20"

    def __post_init__(self) -> None:
        _check("margin", self.margin, 0, 1, "Use 0.02 to accept a loss of two in a hundred.", may_be_low=False)
        _check("alpha", self.alpha, 0, 0.5, "Use 0.05.", may_be_low=False)
        if self.rule not in get_args(Rule):
            raise InputError(f"`rule` must be one of {', '.join(get_args(Rule))}. Received: rule={self.rule!r}.")
        for name in ("max_latency_ms", "max_size_mb"):
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), 0, math.inf, "Leave it out for no limit.", may_be_low=False)
        if self.min_overlap is not None:
            _check("min_overlap", self.min_overlap, 0, 1, "Leave it out for no limit.", may_be_high=True)
        parts = self.server.split(".") if isinstance(self.server, str) else []
        if len(parts) < 2 or not all(part.isdecimal() for part in parts):
            raise InputError(
                f"`server` must be a release of TensorFlow Serving. Received: server={self.server!r}. Write '2.20'."
            )

    def to_json(self) -> dict[str, Any]:
        """Returns the limits as plain values."""
        return dataclasses.asdict(self)


def _check(
    name: str, value: Any, low: float, high: float, advice: str, *, may_be_low: bool = True, may_be_high: bool = False
) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (low < value < high or (may_be_low and value == low) or (may_be_high and value == high)):
        lower = f"{'at least' if may_be_low else 'above'} {low:g}"
        upper = "" if high == math.inf else f" and {'at most' if may_be_high else 'below'} {high:g}"
        raise InputError(f"`{name}` must be {lower}{upper}. Received: {name}={value!r}. {advice}")
