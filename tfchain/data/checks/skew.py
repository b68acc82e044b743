"""Skew: whether two sets of texts are distributed alike, feature by feature and in the space of a model's vectors."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfchain.core.distributions import (
    classifier_area,
    count_bins,
    find_edges,
    smirnov_bound,
    smirnov_distance,
    stability_index,
)
from tfchain.core.errors import InputError
from tfchain.data.checks.kinds import Severity
from tfchain.data.checks.languages import DetectLanguage, name_language
from tfchain.data.checks.leaks import Encode

# The usual reading of the index: below 0.1 no shift, from 0.25 on a large one (Siddiqi 2006, "Credit Risk Scorecards").
PSI_LOOK, PSI_STOP = 0.1, 0.25
# tfchain's own: the largest distance between the two cumulative shares, and how well a classifier tells the sets apart.
KS_LOOK, KS_STOP = 0.1, 0.25
AUC_LOOK, AUC_STOP = 0.6, 0.75
MOST_CATEGORIES = 20
LEAST_TEXTS = 20  # below, nothing can be said about a distribution

Feature = Callable[[Sequence[str]], Sequence[float]]


@dataclass(frozen=True)
class Skew:
    """How differently one feature is distributed in two sets.

    Args:
        feature: Its name, such as `characters` or `language`.
        measure: `psi`, `ks` or `auc`.
        value: The measure's value.
        chance: What it stays below in 99 of 100 cases if the sets are distributed alike; a value below says ok.
        severity: `ok`, `look` or `stop`.
    """

    feature: str
    measure: str
    value: float
    chance: float
    severity: Severity

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)


def measure_skew(
    reference: Sequence[str],
    others: Sequence[str],
    *,
    features: Mapping[str, Feature] | None = None,
    detect_language: DetectLanguage | None = None,
    encode: Encode | None = None,
    seed: int = 0,
) -> list[Skew]:
    """Compares two sets of texts, such as those a model was trained on and those of last week.

    Args:
        reference: The texts to compare with; at least 20.
        others: The texts that may have changed; at least 20.
        features: Functions from texts to a number for each, by name, in addition to the lengths in characters and words
            and the shares of digits and of letters that are not ASCII. Default: none.
        detect_language: Returns a text's language, whose distribution is then compared. Default: not compared.
        encode: Returns a vector for each text; a classifier then tries to tell the sets apart. Default: not tried.
        seed: Of the classifier's folds. Default: 0.

    Returns:
        For each feature its population stability index and Kolmogorov-Smirnov distance; for languages the index alone;
        for vectors the area under the classifier's ROC curve.

    Raises:
        InputError: if a set has fewer than 20 texts.
    """
    for name, texts in (("reference", reference), ("others", others)):
        if len(texts) < LEAST_TEXTS:
            raise InputError(
                f"`{name}` must have at least {LEAST_TEXTS} texts to compare distributions. Received: {len(texts)}.",
                argument=name,
            )
    found: list[Skew] = []
    for feature, compute in {**FEATURES, **(features or {})}.items():
        one, other = (np.asarray(compute(texts), np.float64) for texts in (reference, others))
        found += compare_numbers(feature, one, other)
    if detect_language is not None:
        languages = [[name_language(detect_language, text) for text in texts] for texts in (reference, others)]
        found.append(compare_categories("language", *languages))
    if encode is not None:
        found.append(tell_apart(np.asarray(encode(reference)), np.asarray(encode(others)), seed=seed))
    return found


def compare_numbers(feature: str, reference: np.ndarray, others: np.ndarray) -> list[Skew]:
    """Returns the population stability index and the Kolmogorov-Smirnov distance of a feature's values."""
    edges = find_edges(reference, min(len(reference), len(others)))
    value, chance = stability_index(count_bins(reference, edges), count_bins(others, edges))
    distance, bound = smirnov_distance(reference, others), smirnov_bound(len(reference), len(others))
    return [
        Skew(feature, "psi", value, chance, judge(value, chance, PSI_LOOK, PSI_STOP)),
        Skew(feature, "ks", distance, bound, judge(distance, bound, KS_LOOK, KS_STOP)),
    ]


def compare_categories(feature: str, reference: Sequence[str], others: Sequence[str]) -> Skew:
    """Returns the population stability index of categories: the 20 most frequent of both, and the rest as one."""
    kept = [name for name, _ in (Counter(reference) + Counter(others)).most_common(MOST_CATEGORIES)]
    counts = []
    for part in (reference, others):
        found = Counter(part)
        counts.append(np.array([*(found[name] for name in kept), len(part) - sum(found[name] for name in kept)]))
    used = (counts[0] + counts[1]) > 0
    value, chance = stability_index(counts[0][used], counts[1][used])
    return Skew(feature, "psi", value, chance, judge(value, chance, PSI_LOOK, PSI_STOP))


def tell_apart(reference: np.ndarray, others: np.ndarray, *, seed: int) -> Skew:
    """Returns how well a logistic regression on vectors tells two sets apart; see `core.distributions`."""
    value, error = classifier_area(reference, others, seed=seed)
    chance = 0.5 + 2.326 * error  # one-sided
    return Skew("vectors", "auc", value, chance, judge(value, chance, AUC_LOOK, AUC_STOP))


def judge(value: float, chance: float, look: float, stop: float) -> Severity:
    """Returns what a value says: ok if it is below a threshold, or below what chance explains."""
    if value <= chance or value < look:
        return "ok"
    return "stop" if value >= stop else "look"


def share(characters: Callable[[str], bool]) -> Feature:
    """Returns the feature of which share of a text's characters fulfils a condition."""
    return lambda texts: [sum(map(characters, text)) / max(len(text), 1) for text in texts]


FEATURES: dict[str, Feature] = {
    "characters": lambda texts: [len(text) for text in texts],
    "words": lambda texts: [len(text.split()) for text in texts],
    "share of digits": share(str.isdigit),
    "share of letters beyond ASCII": share(lambda character: character > "\x7f" and character.isalpha()),
}
