"""Lengths of texts in characters and in the model's tokens, unknown tokens, and what the model does not read."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tfchain.data.checks.finding import Finding, Findings, example
from tfchain.data.checks.material import CheckedSet, Material, Texts, spread
from tfchain.data.checks.tokens import TokenCounter

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
NUM_BARS = 30


@dataclass(frozen=True)
class Histogram:
    """How many values lie in each of several intervals of equal width.

    Args:
        edges: The intervals' borders, ascending; one more than there are intervals.
        counts: The values in each; the last interval holds what lies at or above its lower border.
        quantiles: Values by the share of values that are at most as large: 0, 0.05, 0.25, 0.5, 0.75, 0.95 and 1.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    quantiles: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TextLengths:
    """The lengths of a set's texts of one role.

    Args:
        set: The set's name.
        role: `queries`, `documents` or `texts`.
        unit: `tokens` or `characters`.
        histogram: How they are distributed.
        max_length: The most tokens that the model reads, without special tokens; `None` if that is not known.
    """

    set: str
    role: str
    unit: str
    histogram: Histogram
    max_length: int | None = None


def measure_lengths(
    material: Material, counter: TokenCounter | None, sample: int, findings: Findings
) -> Iterator[tuple[TextLengths, list[Finding]]]:
    """Measures the lengths of each set's texts, in tokens if there is a counter, else in characters.

    Args:
        material: The sets.
        counter: Counts tokens; `None` measures characters.
        sample: The most texts of each role that are looked at.
        findings: Makes the findings: texts longer than the model reads, and unknown tokens.

    Yields:
        The lengths of a role, and what was found in it.
    """
    for checked, role, texts in material.columns():
        places = list(spread(len(texts), sample))
        if counter is None:
            sizes = [len(material.text(texts.numbers[place])) for place in places]
            yield TextLengths(checked.name, role, "characters", make_histogram(sizes)), []
            continue
        counted = counter.count_all([material.text(texts.numbers[place]) for place in places])
        lengths = TextLengths(
            checked.name, role, "tokens", make_histogram([size for size, _ in counted]), counter.max_length
        )
        found = []
        if counter.max_length is not None:
            found.append(find_truncated(checked, role, texts, places, counted, counter.max_length, findings))
        if counter.knows_unknown:
            found.append(find_unknown(material, checked, role, places, counted, findings))
        yield lengths, found


def find_truncated(
    checked: CheckedSet,
    role: str,
    texts: Texts,
    places: list[int],
    counted: list[tuple[int, int]],
    max_length: int,
    findings: Findings,
) -> Finding:
    """Finds texts of more tokens than the model reads."""
    cases = [(size, place) for place, (size, _) in zip(places, counted, strict=True) if size > max_length]
    cut = sum(size - max_length for size, _ in cases) / max(sum(size for size, _ in counted), 1)
    return findings.make(
        *("truncated_text", [checked.name], role),
        count=len(cases),
        total=len(places),
        examples=(example([texts.ids[place]], (), f"{size:,} tokens") for size, place in sorted(cases, reverse=True)),
        note=f"The model reads {max_length:,} tokens; {cut:.1%} of all tokens are beyond.",
        values={"max_length": max_length, "share_of_tokens": cut},
    )


def find_unknown(
    material: Material,
    checked: CheckedSet,
    role: str,
    places: list[int],
    counted: list[tuple[int, int]],
    findings: Findings,
) -> Finding:
    """Finds the share of tokens that the model does not know, with the texts that have most of them."""
    texts = checked.texts[role]
    with_any = sorted(
        ((unknown / size, place) for place, (size, unknown) in zip(places, counted, strict=True) if unknown),
        key=lambda case: (-case[0], case[1]),
    )
    return findings.make(
        *("unknown_tokens", [checked.name], "tokens"),
        count=sum(unknown for _, unknown in counted),
        total=sum(size for size, _ in counted),
        examples=(
            example([texts.ids[place]], [material.text(texts.numbers[place])], f"{share:.0%} of its tokens")
            for share, place in with_any
        ),
        note=f"Of the {role}; {len(with_any):,} of {len(places):,} have one.",
    )


def make_histogram(values: list[int] | list[float]) -> Histogram:
    """Counts values in at most 30 intervals from the least to the 99th percentile; the last one holds the rest."""
    array = np.asarray(values, np.float64)
    low, high = float(array.min()), float(np.quantile(array, 0.99))
    whole = bool((array == array.round()).all())
    high = float(np.ceil(high)) if whole else high
    bars = NUM_BARS if not whole else int(min(NUM_BARS, max(high - low + 1, 1)))
    width = (high - low + 1 if whole else high - low or 1.0) / bars
    width = float(np.ceil(width)) if whole else width
    edges = low + width * np.arange(bars + 1)
    places = np.clip(((array - low) / width).astype(int), 0, bars - 1)
    counts = np.bincount(places, minlength=bars)
    return Histogram(
        tuple(map(float, edges)),
        tuple(map(int, counts)),
        {str(share): float(np.quantile(array, share)) for share in QUANTILES},
    )
