"""How the labels of a set are distributed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tfchain.data.checks.finding import Finding, Findings, example
from tfchain.data.checks.material import Material

RARE = 0.1  # of the most frequent label's rows


@dataclass(frozen=True)
class Labels:
    """How many texts of a set have which label.

    Args:
        set: The set's name.
        counts: Texts by label, the most frequent first.
    """

    set: str
    counts: dict[str, int]


def measure_labels(material: Material, findings: Findings) -> Iterator[tuple[Labels, Finding]]:
    """Counts each set's labels, and finds the rows of labels with less than a tenth of the most frequent one's rows."""
    for checked in material.sets.values():
        counts = dict(Counter(label for label in checked.labels if label is not None).most_common())
        if not counts:
            continue
        most = next(iter(counts.values()))
        rare = {label: count for label, count in counts.items() if count < RARE * most}
        total = sum(counts.values())
        finding = findings.make(
            *("label_imbalance", [checked.name], "rows"),
            count=sum(rare.values()),
            total=total,
            examples=(example([label], (), f"{rare[label]:,} rows") for label in reversed(rare)),
            note=f"{len(counts):,} labels, from {min(counts.values()):,} to {most:,} rows; {len(rare):,} are rare.",
            values={"ratio": most / min(counts.values())},
        )
        yield Labels(checked.name, counts), finding
