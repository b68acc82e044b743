"""Sentences made into queries: what only binds them to their text is taken off."""

import re

LABEL = re.compile(r"(?:[A-Z][A-Z0-9 ,/&()-]{2,60}|[A-Z][a-z]+(?: [a-z]+){0,3}):\s+(?=\S)")
CONNECTIVE = re.compile(
    r"(?:however|furthermore|moreover|thus|therefore|hence|here|additionally|in addition|in conclusion|in summary|"
    r"together|taken together|collectively|overall|finally|importantly|interestingly|notably|surprisingly|consequently|"
    r"accordingly|in contrast|conversely|nevertheless|indeed|for example|for instance|in particular|also|first|second|"
    r"then|so|and|but),?\s+(?=\S)",
    re.IGNORECASE,
)
REPORTING = re.compile(
    r"(?:[^.;:?!]{0,90}?\s)?(?:show|shows|showed|shown|showing|find|finds|found|suggest|suggests|suggested|suggesting|"
    r"demonstrate|demonstrates|demonstrated|demonstrating|report|reports|reported|reveal|reveals|revealed|indicate|"
    r"indicates|indicated|indicating|conclude|concludes|concluded|observed|note|noted|propose|proposed|established|"
    r"confirm|confirms|confirmed|know|known|means|explains|explained|says|said|believe|believed)\s+that\s+(?=\S)",
    re.IGNORECASE,
)


def to_claim(sentence: str) -> str:
    """Returns what a sentence says, without the label, the connective and the report that it begins with.

    Such sentences read like queries: they stand alone. Only English is changed.

    Example:
        >>> to_claim("CONCLUSION: However, these results suggest that aspirin thins the blood.")
        'Aspirin thins the blood.'
    """
    rest = " ".join(sentence.split())
    while match := LABEL.match(rest) or CONNECTIVE.match(rest):
        rest = rest[match.end() :]
    if match := REPORTING.match(rest):
        rest = rest[match.end() :]
    return rest[:1].upper() + rest[1:]
