"""Reads metrics in Prometheus' text format, TensorFlow Serving's names with colons included."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tfchain.core.errors import InputError

_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+-?\d+)?\s*")
_LABEL = re.compile(r'\s*(?P<name>[a-zA-Z_]\w*)\s*=\s*"(?P<value>(?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPED = re.compile(r"\\(.)")
Labels = tuple[tuple[str, str], ...]  # sorted by name


@dataclass(frozen=True)
class Metrics:
    """The metrics of one moment.

    Args:
        samples: The values by name and labels.
    """

    samples: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The names of the samples; those of a histogram end in `_bucket`, `_sum` and `_count`."""
        return set(self.samples)

    def total(self, name: str, **labels: str) -> float:
        """Returns the sum of a metric's values.

        Args:
            name: The metric.
            **labels: What the labels must be. Default: anything.
        """
        return sum(value for found, value in self.samples.get(name, {}).items() if _agree(found, labels))

    def buckets(self, name: str, **labels: str) -> list[tuple[float, float]]:
        """Returns a histogram's cumulative counts by upper bound, ascending, summed over all that has these labels.

        Args:
            name: The histogram, without `_bucket`.
            **labels: What the labels must be. Default: anything.
        """
        counts: dict[float, float] = defaultdict(float)
        for found, value in self.samples.get(f"{name}_bucket", {}).items():
            if _agree(found, labels):
                counts[_to_number(dict(found).get("le", "+Inf"))] += value
        return sorted(counts.items())

    def values_of(self, name: str, label: str) -> list[str]:
        """Returns the values of a label, sorted."""
        return sorted({value for found in self.samples.get(name, {}) for key, value in found if key == label})


def parse_metrics(text: str) -> Metrics:
    """Reads a page of metrics.

    Args:
        text: The page.

    Raises:
        InputError: if a line is not a sample, or there is none.
    """
    samples: dict[str, dict[Labels, float]] = defaultdict(dict)
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _SAMPLE.fullmatch(line)
        labels = None if match is None else _read_labels(match["labels"] or "")
        if match is None or labels is None:
            raise InputError(
                f"This is not a page of metrics in Prometheus' text format: line {number} is no sample. "
                f"Received: {line[:80]!r}. Name the address that Prometheus scrapes."
            )
        samples[match["name"]][labels] = _to_number(match["value"])
    if not samples:
        raise InputError("The page of metrics is empty. Name the address that Prometheus scrapes.")
    return Metrics(dict(samples))


def find_quantile(buckets: Iterable[tuple[float, float]], share: float) -> float:
    """Returns the value below which a share of a histogram lies, linear within its bucket, as Prometheus does.

    Args:
        buckets: Cumulative counts by upper bound, ascending.
        share: From 0 to 1.

    Returns:
        The value; the last finite bound if it lies above that. NaN for an empty histogram.
    """
    found = list(buckets)
    total = found[-1][1] if found else 0
    if total <= 0:
        return math.nan
    rank, low, below = share * total, 0.0, 0.0
    for bound, count in found:
        if count >= rank and count > below:
            return low if math.isinf(bound) else low + (bound - low) * (rank - below) / (count - below)
        if not math.isinf(bound):
            low, below = bound, count
    return low


def _read_labels(text: str) -> Labels | None:
    """Returns the labels; None if they are not written as labels are."""
    labels: list[tuple[str, str]] = []
    place = 0
    while place < len(text):
        match = _LABEL.match(text, place)
        if match is None:
            return None
        labels.append((match["name"], _ESCAPED.sub(lambda one: "\n" if one[1] == "n" else one[1], match["value"])))
        place = match.end()
    return tuple(sorted(labels))


def _to_number(text: str) -> float:
    try:
        return float(text.replace("Inf", "inf").replace("NaN", "nan"))
    except ValueError:
        raise InputError(f"A metric's value is no number. Received: {text[:40]!r}.") from None


def _agree(found: Labels, wanted: Mapping[str, str]) -> bool:
    return not wanted or wanted.items() <= dict(found).items()
