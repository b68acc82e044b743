"""Numbers that states give to people, found by form and check digits."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tfchain.data.cleaning.personal.found import Found
from tfchain.data.cleaning.personal.numbers import is_valid_number

CONTEXT_CHARACTERS = 40  # before a number
WINDOW = re.compile(r"(?<![A-Za-z0-9_])[A-Z0-9](?:[ .\-+]?[A-Z0-9x]){6,}")  # where alone an id can be
LEAST_DIGITS = 4


@dataclass(frozen=True)
class IdForm:
    """A kind of national id.

    Args:
        country: ISO 3166 code.
        pattern: Its written form. A number in it counts if the check digits are right.
        standard: The module in python-stdnum that checks it; `""` if there are no check digits.
        bare: A looser form, such as digits alone, that counts only after a word of `context`. Default: none.
        context: Words that announce it.
    """

    country: str
    pattern: re.Pattern[str]
    standard: str = ""
    bare: re.Pattern[str] | None = None
    context: re.Pattern[str] | None = None


def form(country: str, pattern: str, standard: str = "", bare: str = "", context: str = "") -> IdForm:
    """Makes a form of patterns, none of which may stand within a longer word or number."""
    alone = r"(?<![A-Za-z0-9_])(?<!\d[.\-]){}(?![A-Za-z0-9_]|[.\-]\d)"
    return IdForm(
        country,
        re.compile(alone.format(f"(?:{pattern})")),
        standard,
        re.compile(alone.format(f"(?:{bare})")) if bare else None,
        re.compile(context, re.IGNORECASE) if context else None,
    )


FORMS = (
    # China: province, district, birth date, number, check digit (GB 11643, ISO 7064). Not by python-stdnum's `cn.ric`,
    # which refuses districts founded after a holder's birth, though numbers were given to adults from 1984 on.
    form(
        "CN",
        r"(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|91)\d{4}(?:19|20)\d{2}(?:0[1-9]|1[0-2])"
        r"(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]",
        "iso7064.mod_11_2",
    ),
    # USA: no check digit; the areas and groups that were never given are refused.
    form("US", r"\d{3}-\d{2}-\d{4}", "us.ssn", r"\d{3}[ ]?\d{2}[ ]?\d{4}", r"\bssn\b|social security"),
    # United Kingdom: National Insurance has no check digit but reserved letters; the NHS number has one (modulo 11).
    form("GB", r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]"),
    form("GB", r"(?!)", "gb.nhs", r"\d{3}[ \-]?\d{3}[ \-]?\d{4}", r"\bnhs\b"),
    # Germany: tax identification number.
    form("DE", r"\d{2} \d{3} \d{3} \d{3}", "de.idnr", r"\d{11}", r"steuer|\bid(?:entifikations)?-?nr|\btin\b|\btax\b"),
    # France: the number of the INSEE, with sex, month of birth and two check digits.
    form("FR", r"[12] ?\d{2} ?[0-9]{2} ?[0-9][0-9AB] ?\d{3} ?\d{3} ?\d{2}", "fr.nir"),
    # Spain: identity card, and the number of foreigners, each with a check letter.
    form("ES", r"\d{8}-?[A-HJ-NP-TV-Z]", "es.dni"),
    form("ES", r"[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", "es.nie"),
    # India: Aadhaar (Verhoeff's check digit), and the Permanent Account Number.
    form("IN", r"(?<!\d )[2-9]\d{3}[ \-]\d{4}[ \-]\d{4}(?! \d)", "in_.aadhaar", r"[2-9]\d{11}", r"aadhaa?r|uidai|आधार"),
    form("IN", r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", "in_.pan"),
    # Italy: codice fiscale.
    form("IT", r"[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPR-T][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]", "it.codicefiscale"),
    # Brazil: CPF.
    form("BR", r"\d{3}\.\d{3}\.\d{3}-\d{2}", "br.cpf", r"\d{11}", r"\bcpf\b"),
    # Poland, Netherlands, Turkey, Canada, Australia: digits alone, so only where they are announced.
    form("PL", r"(?!)", "pl.pesel", r"\d{11}", r"\bpesel\b"),
    form("NL", r"(?!)", "nl.bsn", r"\d{9}|\d{4}[. ]\d{2}[. ]\d{3}", r"\bbsn\b|burgerservice|sofinummer"),
    form("TR", r"(?!)", "tr.tckimlik", r"[1-9]\d{10}", r"kimlik|\bt\.?c\.?\b"),
    form(
        "CA", r"(?!)", "ca.sin", r"\d{3}[ \-]?\d{3}[ \-]?\d{3}", r"\bsin\b|social insurance|assurance sociale|\bnas\b"
    ),
    form("AU", r"(?!)", "au.tfn", r"\d{3} ?\d{3} ?\d{2,3}", r"\btfn\b|tax file"),
    # Sweden, Finland, South Korea: birth date, sign, number with check digit.
    form("SE", r"(?:\d{2})?\d{6}[\-+]\d{4}", "se.personnummer"),
    form("FI", r"\d{6}[\-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", "fi.hetu"),
    form("KR", r"\d{6}-\d{7}", "kr.rrn"),
)
COUNTRIES = tuple(dict.fromkeys(one.country for one in FORMS))


def find_national_ids(text: str, countries: Collection[str] = COUNTRIES) -> Iterator[Found]:
    """Yields numbers of some countries' ids.

    Args:
        text: The text.
        countries: ISO 3166 codes. Default: all that are known.
    """
    forms = [one for one in FORMS if one.country in countries]
    for window in WINDOW.finditer(text):
        if sum(map(str.isdigit, window[0])) < LEAST_DIGITS:
            continue
        start, end = window.start(), min(len(text), window.end() + 2)  # the next characters decide where a number ends
        for one in forms:
            for match in one.pattern.finditer(text, start, end):
                if not one.standard or is_valid_number(one.standard, match[0]):
                    yield Found(match.start(), match.end(), "national_id")
            if one.bare is None or one.context is None:
                continue
            for match in one.bare.finditer(text, start, end):
                before = max(0, match.start() - CONTEXT_CHARACTERS)
                if one.context.search(text, before, match.start()) and is_valid_number(one.standard, match[0]):
                    yield Found(match.start(), match.end(), "national_id")
