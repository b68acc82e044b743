"""Skew between training and evaluation, as findings of a data report."""

from collections.abc import Iterator

from tfchain.data.checks.finding import Finding, Findings
from tfchain.data.checks.kinds import SEVERITIES
from tfchain.data.checks.languages import LEAST_CHARACTERS, DetectLanguage, name_language
from tfchain.data.checks.leaks import Encode
from tfchain.data.checks.material import ROLES, CheckedSet, Material, spread
from tfchain.data.checks.skew import LEAST_TEXTS, Skew, compare_categories, measure_skew
from tfchain.data.checks.tokens import TokenCounter


def find_skew(
    material: Material,
    *,
    counter: TokenCounter | None,
    detect_language: DetectLanguage | None,
    encode: Encode | None,
    sample: int,
    findings: Findings,
) -> Iterator[Finding]:
    """Compares training with evaluation: each role's lengths, characters, languages and vectors, and the labels.

    Documents are not compared by their vectors: they are long, and what a search is asked is what changes.
    """
    train, evaluation = material.get("train"), material.get("evaluation")
    if train is None or evaluation is None:
        return
    for role in ROLES:
        chosen = [
            [material.text(checked.texts[role].numbers[place]) for place in spread(len(checked.texts[role]), sample)]
            for checked in (train, evaluation)
        ]
        if min(map(len, chosen)) < LEAST_TEXTS:
            continue
        tokens = {} if counter is None else {"tokens": lambda texts: [size for size, _ in counter.count_all(texts)]}
        found = measure_skew(
            *chosen,
            features=tokens,
            detect_language=None if detect_language is None else long_enough(detect_language),
            encode=None if role == "documents" else encode,
        )
        if role == "texts":
            found += compare_labels(train, evaluation)
        yield make_finding(role, found, findings)


def long_enough(detect_language: DetectLanguage) -> DetectLanguage:
    """Returns a detector that does not guess the language of a few characters."""
    return lambda text: name_language(detect_language, text) if len(text.strip()) >= LEAST_CHARACTERS else "too short"


def compare_labels(train: CheckedSet, evaluation: CheckedSet) -> list[Skew]:
    """Compares the distributions of labels, if both sets have them."""
    labels = [[label for label in checked.labels if label is not None] for checked in (train, evaluation)]
    return [compare_categories("label", *labels)] if min(map(len, labels)) >= LEAST_TEXTS else []


def make_finding(role: str, found: list[Skew], findings: Findings) -> Finding:
    """Makes one finding of a role's features: as severe as the worst."""
    worst = max((skew.severity for skew in found), key=SEVERITIES.index)
    odd = {skew.feature for skew in found if skew.severity != "ok"}
    shown = sorted(found, key=lambda skew: -SEVERITIES.index(skew.severity))
    return findings.make(
        *("skew", ["evaluation", "train"], f"features of {role}"),
        count=len(odd),
        total=len({skew.feature for skew in found}),
        note="; ".join(f"{skew.feature}: {skew.measure} {skew.value:.2f} {skew.severity}" for skew in shown) + ".",
        values={f"{skew.feature} {skew.measure}": skew.value for skew in found},
        severity=worst,
    )
