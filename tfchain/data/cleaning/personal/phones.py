"""Phone numbers in a text, by phonenumbers: its one door."""

import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

from tfchain.core.errors import MissingPackageError
from tfchain.data.cleaning.personal.found import Found

REGIONS = ("CN", "US", "GB", "DE", "FR", "IN")
CANDIDATE = re.compile(
    r"(?<![A-Za-z0-9_+])(?<!\d[.,:/\-])(?:\(?\+|00(?=[1-9]))?\(?\d(?:[ \u00a0]?[().\-/–]{0,2}[ \u00a0]?\d){6,17}"
    r"(?![A-Za-z0-9_%]|[.,:/\-]\d)"
)
DIGITS = re.compile(r"\d+")
# A column of a table, an ISBN, the code of a drug.
NO_PHONE_BEFORE = re.compile(r"\d[ \t\n]$|\b(?:isbn|issn|pmid|pmcid|doi|nct)[\s:.#\-]{0,3}$|[A-Za-z]-$", re.IGNORECASE)
MOST_GROUPS = 7
LONG_GROUP = 10  # digits
CONTEXT = re.compile(
    r"\b(?:tel|tél|phone|call|mobile|mob|cell(?=:| ?phone| ?no)|fax|whatsapp|contact|ring|dial|sms|hotline|telefon|"
    r"telephone|handy|mobil|rufnummer|anruf|portable|téléphone|appele[rz]|teléfono|móvil|celular)|电话|手机|热线|致电|联系|传真|拨打|来电|फ़?ोन|मोबाइल",
    re.IGNORECASE,
)
CONTEXT_CHARACTERS = 30  # before a number
DATE = re.compile(r"\(?(?:\d{1,2}[./\- ]\d{1,2}[./\- ](?:19|20)\d{2}|(?:19|20)\d{2}[./\- ]\d{1,2}[./\- ]\d{1,2})(?!\d)")
# How numbers are written in groups where no zero comes first, so that other digits are not taken for them.
GROUPED = {
    "US": re.compile(r"(?:1[ .\-])?(?:\(\d{3}\) ?|\d{3}[ .\-])\d{3}[ .\-]\d{4}"),
    "CA": re.compile(r"(?:1[ .\-])?(?:\(\d{3}\) ?|\d{3}[ .\-])\d{3}[ .\-]\d{4}"),
    "CN": re.compile(r"1\d{2}[ \-]\d{4}[ \-]\d{4}|[48]00[ \-]\d{3}[ \-]\d{4}"),
    "IN": re.compile(r"[6-9]\d{4}[ \-]\d{5}"),
    "ES": re.compile(r"[6-9]\d{2}(?: \d{3}){2}|[6-9]\d{2}(?: \d{2}){3}"),
}
BARE_MOBILE = {
    "CN": re.compile(r"1[3-9]\d{9}"),
    "GB": re.compile(r"07\d{9}"),
    "FR": re.compile(r"0[67]\d{8}"),
    "DE": re.compile(r"01[567]\d{8,9}"),
}
ZERO_FIRST = re.compile(r"\(?0\d")


def find_phones(text: str, regions: Collection[str] = REGIONS) -> Iterator[Found]:
    """Yields phone numbers that phonenumbers takes for valid.

    A number with `+` or `00` counts wherever it stands. A national one counts if it is written as that country writes
    phone numbers: groups, a zero first, or a mobile number of China, Britain, France or Germany; other digits alone
    count after a word such as `tel` or `电话`. Dates do not count.

    Args:
        text: The text.
        regions: ISO 3166 codes of the countries whose national numbers to find. Default: China, the USA, the United
            Kingdom, Germany, France and India.

    Raises:
        MissingPackageError: if phonenumbers is not installed.
    """
    position = 0
    while match := CANDIDATE.search(text, position):
        start, groups = match.start(), [group.end() for group in DIGITS.finditer(match[0])][:MOST_GROUPS]
        position = start + groups[0]
        if groups[0] >= LONG_GROUP:  # what follows is another number
            groups = groups[:1]
        announced = (
            match[0].startswith(("+", "(+", "00"))
            or CONTEXT.search(text, max(0, start - CONTEXT_CHARACTERS), start) is not None
        )
        if not announced and NO_PHONE_BEFORE.search(text, max(0, start - 12), start):
            continue
        for end in reversed(groups):
            written = match[0][:end]
            if sum(map(str.isdigit, written)) < 7:
                break
            if is_phone(written, announced, regions):
                position = start + end
                yield Found(start, position, "phone")
                break


def is_phone(written: str, announced: bool, regions: Collection[str]) -> bool:
    """Returns whether a candidate is a phone number, by its form and whether a word before it announces one."""
    if written.startswith(("+", "(+", "00")):
        plain = written.replace("(0)", "")
        return is_valid_phone("+" + plain.lstrip("(+0") if not plain.startswith("00") else "+" + plain[2:], None)
    if DATE.match(written):
        return False
    separated = not written.isdigit()
    for region in regions:
        if announced:
            plausible = True
        elif separated:
            grouped = GROUPED.get(region)
            plausible = bool(ZERO_FIRST.match(written) or (grouped and grouped.fullmatch(written)))
        else:
            mobile = BARE_MOBILE.get(region)
            plausible = bool(mobile and mobile.fullmatch(written))
        if plausible and is_valid_phone(written, region):
            return True
    return False


def is_valid_phone(written: str, region: str | None) -> bool:
    """Returns whether a number is valid, read as in a region, whose code other regions may share (Britain, Jersey)."""
    library = load_phonenumbers()
    try:
        number = library.parse(written, region)
    except library.NumberParseException:
        return False
    return bool(library.is_valid_number(number))


@cache
def load_phonenumbers() -> Any:
    """Imports phonenumbers.

    Raises:
        MissingPackageError: if it is not installed.
    """
    try:
        import phonenumbers
    except ImportError as error:
        raise MissingPackageError(
            f"Finding phone numbers needs the package phonenumbers. Received: {error}. "
            "Install it with `pip install 'tfchain[data]'`."
        ) from error
    return phonenumbers
