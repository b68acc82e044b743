"""The languages of the sets' texts, and texts in other languages than most."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tfchain.data.checks.finding import Finding, Findings, example
from tfchain.data.checks.material import CheckedSet, Material, spread

DetectLanguage = Callable[[str], str | tuple[str, float]]
"""Returns a text's language, such as `en`; with a probability, as `tfchain.data.cleaning.language` does, or without."""

LEAST_CHARACTERS = 20  # below, a detector of languages guesses; half of it in other scripts, which tell more
MAIN_SHARE = 0.8  # below, the set has several languages, and none is the wrong one


@dataclass(frozen=True)
class Languages:
    """How many of a set's texts are in which language.

    Args:
        set: The set's name.
        role: `queries`, `documents` or `texts`.
        counts: Texts by language, the most frequent first. Texts of fewer than 20 characters (10, if some are
            not ASCII) are not counted.
    """

    set: str
    role: str
    counts: dict[str, int]


def name_language(detect_language: DetectLanguage, text: str) -> str:
    """Returns the name of a text's language, without the probability."""
    found = detect_language(text)
    return found if isinstance(found, str) else found[0]


def measure_languages(
    material: Material, detect_language: DetectLanguage, sample: int, findings: Findings
) -> Iterator[tuple[Languages, Finding]]:
    """Detects the language of each text of a sample.

    Args:
        material: The sets.
        detect_language: Returns the language of a text, such as `en`.
        sample: The most texts of each role that are looked at.
        findings: Makes the findings.

    Yields:
        The languages of a role, and the texts in another one than the most frequent, if four fifths are in that.
    """
    for checked, role, texts in material.columns():
        found: dict[int, str] = {}
        for place in spread(len(texts), sample):
            text = material.text(texts.numbers[place])
            if len(text.strip()) >= (LEAST_CHARACTERS if text.isascii() else LEAST_CHARACTERS // 2):
                found[place] = name_language(detect_language, text)
        counts = dict(Counter(found.values()).most_common())
        if counts:
            yield Languages(checked.name, role, counts), find_others(material, checked, role, found, counts, findings)


def find_others(
    material: Material,
    checked: CheckedSet,
    role: str,
    found: dict[int, str],
    counts: dict[str, int],
    findings: Findings,
) -> Finding:
    """Finds texts in other languages than the most frequent one."""
    main, most = next(iter(counts.items()))
    texts = checked.texts[role]
    mixed = most < MAIN_SHARE * len(found)
    others = [] if mixed else [place for place, language in found.items() if language != main]
    shown = ", ".join(f"{language} {count / len(found):.1%}" for language, count in list(counts.items())[:5])
    return findings.make(
        *("other_language", [checked.name], role),
        count=len(others),
        total=len(found),
        examples=(example([texts.ids[place]], [material.text(texts.numbers[place])], found[place]) for place in others),
        note=f"{shown}." + (" No language has four fifths of them, so none counts as another." if mixed else ""),
    )
