"""Numbers of payment cards and bank accounts (IBAN) in a text."""

import re
from collections.abc import Iterator

from tfchain.data.cleaning.personal.found import Found
from tfchain.data.cleaning.personal.numbers import is_valid_number

CARD = re.compile(r"(?<![A-Za-z0-9_.\-])\d(?:[ \-]?\d){12,18}(?![A-Za-z0-9_]|[.\-]\d)")
GROUPS = ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (6, 13), (4, 4, 4, 4, 3))
# First digits by issuer (ISO/IEC 7812): Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay, Maestro.
ISSUER = re.compile(
    r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|3(?:0[0-5]|[68])|6(?:011|4[4-9]|5)|35|62|5[06-8]|6[37]"
)
IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![A-Za-z0-9])")


def find_cards(text: str) -> Iterator[Found]:
    """Yields numbers of payment cards: 13 to 19 digits of a known issuer, grouped as on cards, right by Luhn."""
    for match in CARD.finditer(text):
        groups = re.split(r"[ \-]", match[0])
        digits = "".join(groups)
        grouped = len(groups) == 1 or tuple(map(len, groups)) in GROUPS
        if grouped and len(set(digits)) > 1 and ISSUER.match(digits) and is_valid_number("luhn", digits):
            yield Found(match.start(), match.end(), "card")


def find_ibans(text: str) -> Iterator[Found]:
    """Yields IBANs whose country, length and two check digits are right (ISO 13616)."""
    for match in IBAN.finditer(text):
        end = match.end()
        while end - match.start() >= 15:  # a word in capitals may follow
            if is_valid_number("iban", text[match.start() : end]):
                yield Found(match.start(), end, "iban")
                break
            end = match.start() + max(text[match.start() : end].rfind(" "), 0)
