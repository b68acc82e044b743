"""Personal data in a text, of all kinds."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from tfchain.data.cleaning.personal.accounts import find_cards, find_ibans
from tfchain.data.cleaning.personal.addresses import find_emails, find_ip_addresses
from tfchain.data.cleaning.personal.found import Found, without_overlaps
from tfchain.data.cleaning.personal.national_ids import COUNTRIES, find_national_ids
from tfchain.data.cleaning.personal.person_names import find_names
from tfchain.data.cleaning.personal.phones import REGIONS, find_phones

KINDS = ("email", "iban", "card", "national_id", "ip", "phone")
ALL_KINDS = (*KINDS, "name")
MANY_DIGITS = re.compile(r"\d(?:.{0,3}\d){3}", re.DOTALL)  # what every kind with numbers has


def find_personal_data(
    text: str,
    kinds: Collection[str] = KINDS,
    *,
    regions: Collection[str] = REGIONS,
    countries: Collection[str] = COUNTRIES,
    analyzer: Any = None,
    language: str = "en",
) -> list[Found]:
    """Finds personal data.

    Args:
        text: The text.
        kinds: Which of `email`, `iban`, `card`, `national_id`, `ip`, `phone` and `name`. Default: all but names.
        regions: Countries whose national phone numbers to find.
        countries: Countries whose ids to find.
        analyzer: What finds names; see `find_names`. Default: Presidio's.
        language: The language of names.

    Returns:
        The places, in order, without overlaps. Where two kinds claim the same digits, the one that stands first in the
        list above has them: those with stricter forms come first.

    Example:
        >>> find_personal_data("Write to li@example.org or call +44 20 7946 0958.")
        [Found(start=9, end=23, kind='email'), Found(start=32, end=48, kind='phone')]
    """
    return without_overlaps(all_found(text, kinds, regions, countries, analyzer, language))


def all_found(
    text: str,
    kinds: Collection[str],
    regions: Collection[str],
    countries: Collection[str],
    analyzer: Any,
    language: str,
) -> Iterator[Found]:
    """Yields what each kind's search finds, the stricter kinds first."""
    if "email" in kinds:
        yield from find_emails(text)
    if MANY_DIGITS.search(text):
        if "iban" in kinds:
            yield from find_ibans(text)
        if "national_id" in kinds:
            yield from find_national_ids(text, countries)
        if "card" in kinds:
            yield from find_cards(text)
        if "ip" in kinds:
            yield from find_ip_addresses(text)
        if "phone" in kinds:
            yield from find_phones(text, regions)
    if "name" in kinds:
        yield from find_names(text, analyzer, language)
