"""Skew: whether two sets of texts are distributed alike, feature by feature and in the space of a model's vectors."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.data.checks.kinds import Severity
from tfchain.data.checks.languages import DetectLanguage, name_language
from tfchain.data.checks.leaks import Encode

# The usual reading of the index: below 0.1 no shift, from 0.25 on a large one (Siddiqi 2006, "Credit Risk Scorecards").
PSI_LOOK, PSI_STOP = 0.1, 0.25
# tfchain's own: the largest distance between the two cumulative shares, and how well a classifier tells the sets apart.
KS_LOOK, KS_STOP = 0.1, 0.25
AUC_LOOK, AUC_STOP = 0.6, 0.75
NUM_BINS = 10
SURE = 0.99  # what equal distributions stay below, by chance, that often
SMOOTHING = 0.5  # texts added to each bin, so that an empty bin has a logarithm
LEAST_IN_BIN = 5  # expected of the smaller set, as is usual for χ²
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
    from scipy.stats import ks_2samp

    edges = find_edges(reference, min(len(reference), len(others)))
    places = [np.searchsorted(edges, part, side="right") for part in (reference, others)]
    counts = [np.bincount(part, minlength=len(edges) + 1) for part in places]
    value, chance = stability_index(*counts)
    distance = float(ks_2samp(reference, others, method="asymp").statistic)
    # Smirnov's asymptotic bound: exceeded by equal distributions in 1 of 100 cases.
    bound = 1.628 * float(np.sqrt(1 / len(reference) + 1 / len(others)))
    return [
        Skew(feature, "psi", value, chance, judge(value, chance, PSI_LOOK, PSI_STOP)),
        Skew(feature, "ks", distance, bound, judge(distance, bound, KS_LOOK, KS_STOP)),
    ]


def find_edges(reference: np.ndarray, size: int) -> np.ndarray:
    """Returns the borders of ten bins with a tenth of the values each; a value that fills a bin has one of its own.

    There are fewer bins if the smaller set, of this size, has fewer than fifty values.
    """
    bins = min(NUM_BINS, max(size // LEAST_IN_BIN, 2))
    deciles = np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1])
    frequent = deciles[1:][deciles[1:] == deciles[:-1]]
    return np.unique(np.concatenate([deciles, np.nextafter(frequent, np.inf)]))


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


def stability_index(reference: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Returns the population stability index of counts by bin, and its 99th percentile for equal distributions.

    The index is `Σ (q - p) ln(q / p)` over the bins' shares `p` and `q` (Siddiqi 2006), to each of which half a
    text is added. For equal distributions it is
    about `(1/n + 1/m) χ²` with one degree of freedom less than there are bins (Yurdakul and Naranjo 2020, "Statistical
    properties of the population stability index"), so in small samples it exceeds the usual thresholds by chance.
    """
    from scipy.stats import chi2

    p, q = ((counts + SMOOTHING) / (counts + SMOOTHING).sum() for counts in (reference, others))
    value = float(((q - p) * np.log(q / p)).sum())
    spread = 1 / reference.sum() + 1 / others.sum()
    return value, float(chi2.ppf(SURE, max(len(p) - 1, 1)) * spread)


def tell_apart(reference: np.ndarray, others: np.ndarray, *, seed: int) -> Skew:
    """Returns how well a logistic regression on vectors tells two sets apart, as the area under its ROC curve.

    Each vector is judged by a model that was not fitted on it (five folds). 0.5 is chance, 1 is certainty. The idea is
    that of a classifier two-sample test (Lopez-Paz and Oquab 2017, https://arxiv.org/abs/1610.06545).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    vectors = np.concatenate([reference, others]).astype(np.float32)
    is_other = np.repeat([0, 1], [len(reference), len(others)])
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    classifier = LogisticRegression(class_weight="balanced", max_iter=300)
    chances = cross_val_predict(classifier, vectors, is_other, cv=folds, method="predict_proba")[:, 1]
    value = float(roc_auc_score(is_other, chances))
    # The standard error of the area where there is no difference (Hanley and McNeil 1982), one-sided.
    error = float(np.sqrt((len(vectors) + 1) / (12 * len(reference) * len(others))))
    chance = 0.5 + 2.326 * error
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
