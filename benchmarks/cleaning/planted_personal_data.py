"""Real texts with made-up personal data in the ways of six countries, check digits computed here."""

import random
import re
from collections.abc import Callable
from typing import NamedTuple

Random = random.Random


class Item(NamedTuple):
    """Something planted: its kind, country, how it is announced, and what it is."""

    kind: str
    country: str
    before: str
    value: str


def digits(generator: Random, count: int, first: str = "0123456789") -> str:
    """Random digits."""
    return generator.choice(first) + "".join(generator.choice("0123456789") for _ in range(count - 1)) if count else ""


def luhn(number: str) -> str:
    """A number with Luhn's check digit."""
    total = sum(sum(divmod(int(one) * (2 - place % 2), 10)) for place, one in enumerate(reversed(number)))
    return number + str(-total % 10)


def iban(country: str, account: str) -> str:
    """An IBAN, whose check digits make the number 1 modulo 97."""
    whole = "".join(str(int(one, 36)) for one in f"{account}{country}00")
    return f"{country}{98 - int(whole) % 97:02d}{account}"


def chinese_id(generator: Random) -> str:
    """A resident id (GB 11643): ISO 7064, modulo 11-2."""
    body = generator.choice(["110105", "310101", "440103", "330106", "510104"])
    body += f"{generator.randint(1950, 2005)}{generator.randint(1, 12):02d}{generator.randint(1, 28):02d}"
    body += digits(generator, 3)
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(one) * weight for one, weight in zip(body, weights, strict=True)) % 11]


def german_id(generator: Random) -> str:
    """A tax id: one digit twice, another missing; ISO 7064, modulo 11, 10."""
    chosen = generator.sample("123456789", 9)
    body = [*chosen, chosen[0]]
    while body[0] == "0" or any(len(set(body[i : i + 3])) == 1 for i in range(8)):
        generator.shuffle(body)
    generator.shuffle(body)
    product = 10
    for one in body:
        product = ((int(one) + product) % 10 or 10) * 2 % 11
    return "".join(body) + str((11 - product) % 10)


def french_id(generator: Random) -> str:
    """A NIR: 97 minus the number modulo 97."""
    body = f"{generator.choice('12')}{generator.randint(40, 99)}{generator.randint(1, 12):02d}"
    body += f"{generator.randint(10, 95):02d}"
    body += f"{generator.randint(1, 400):03d}{generator.randint(1, 999):03d}"
    return f"{body}{97 - int(body) % 97:02d}"


def aadhaar(generator: Random) -> str:
    """An Aadhaar number: Verhoeff's check digit, from the dihedral group of order ten."""
    permutation = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)

    def multiply(one: int, other: int) -> int:
        if one < 5:
            return (one + other) % 5 if other < 5 else (one + other - 5) % 5 + 5
        return (one - 5 - other) % 5 + 5 if other < 5 else (one - other) % 5

    body, check = digits(generator, 11, "23456789"), 0
    for place, one in enumerate(reversed(body), 1):
        value = int(one)
        for _ in range(place):
            value = permutation[value]
        check = multiply(check, value)
    return body + str(next(one for one in range(10) if multiply(check, one) == 0))


def pick(*values: str) -> Callable[[Random], str]:
    """One of several values."""
    return lambda generator: generator.choice(values)


def fill(pattern: str) -> Callable[[Random], str]:
    """A pattern whose `#` are digits, `N` digits from 2 to 9, and `A` capital letters of British ids."""
    return lambda generator: re.sub(
        "[#NA]", lambda mark: generator.choice({"#": "0123456789", "N": "23456789", "A": "CEGHJLMP"}[mark[0]]), pattern
    )


def grouped(make: Callable[[Random], str], *sizes: int, mark: str = " ") -> Callable[[Random], str]:
    """A number in groups."""

    def write(generator: Random) -> str:
        number, parts = make(generator), []
        for size in sizes:
            parts.append(number[:size])
            number = number[size:]
        return mark.join(parts)

    return write


Make = Callable[[Random], str]
LOCAL = pick("li.wei", "j_smith", "anna-m", "raj99")
DOMAIN = pick("qq.com", "example.co.uk", "mail.example.de", "example.in")
US_AREA = pick("212", "415", "312", "206", "617", "713")


def card(generator: Random) -> str:
    """A card's 16 digits."""
    first = generator.choice(["4", "51", "55", "62"])
    return luhn(first + digits(generator, 15 - len(first)))


FORMS: list[tuple[str, str, tuple[str, ...], Make]] = [
    ("phone", "CN", ("电话：", "手机", "", "请联系"), fill("138########")),
    ("phone", "CN", ("电话", ""), fill("186 #### ####")),
    ("phone", "CN", ("电话：", "传真"), fill("010-6#######")),
    ("phone", "CN", ("", "电话："), fill("+86 139 #### ####")),
    ("phone", "US", ("", "call "), lambda g: f"({US_AREA(g)}) {fill('N##-####')(g)}"),
    ("phone", "US", ("", "Phone: "), lambda g: f"{US_AREA(g)}-{fill('N##-####')(g)}"),
    ("phone", "US", ("Tel. ", "mobile "), lambda g: f"{US_AREA(g)}{fill('N######')(g)}"),
    ("phone", "US", ("", "fax "), lambda g: f"+1 {US_AREA(g)} {fill('N## ####')(g)}"),
    ("phone", "GB", ("", "tel. "), fill("020 7### ####")),
    ("phone", "GB", ("", "mobile "), fill("0774# ######")),
    ("phone", "GB", ("", "call "), fill("+44 161 N## ####")),
    ("phone", "DE", ("Tel.: ", "Telefon "), fill("030 N######")),
    ("phone", "DE", ("", "Handy "), fill("0171 N######")),
    ("phone", "DE", ("", "Fax "), fill("+49 89 N#######")),
    ("phone", "FR", ("", "tél. "), fill("01 4# ## ## ##")),
    ("phone", "FR", ("portable ", ""), fill("061#######")),
    ("phone", "FR", ("", "tél. "), fill("+33 6 1# ## ## ##")),
    ("phone", "IN", ("", "mobile "), fill("98### #####")),
    ("phone", "IN", ("call ", "WhatsApp "), fill("98########")),
    ("phone", "IN", ("", "tel. "), fill("+91 98### #####")),
    ("national_id", "CN", ("身份证号", "", "ID "), chinese_id),
    ("national_id", "US", ("SSN ", ""), lambda g: f"{g.randint(100, 665)}-{g.randint(10, 99)}-{g.randint(1000, 9999)}"),
    ("national_id", "GB", ("NI number ", ""), lambda g: fill("AA######")(g) + g.choice("ABCD")),
    ("national_id", "DE", ("Steuer-ID ", "Steuernummer IdNr. "), german_id),
    ("national_id", "DE", ("", "IdNr. "), grouped(german_id, 2, 3, 3, 3)),
    ("national_id", "FR", ("", "NIR "), french_id),
    ("national_id", "FR", ("", "sécurité sociale "), grouped(french_id, 1, 2, 2, 2, 3, 3, 2)),
    ("national_id", "IN", ("", "Aadhaar "), grouped(aadhaar, 4, 4, 4)),
    ("national_id", "IN", ("Aadhaar no. ",), aadhaar),
    ("iban", "DE", ("IBAN ", ""), lambda g: iban("DE", digits(g, 18, "12345678"))),
    ("iban", "GB", ("IBAN ", ""), grouped(lambda g: iban("GB", "NWBK" + digits(g, 14)), 4, 4, 4, 4, 4, 2)),
    ("card", "", ("card ", "卡号"), card),
    ("card", "", ("", "Visa "), grouped(card, 4, 4, 4, 4)),
    ("email", "", ("", "邮箱", "Mail "), lambda g: f"{LOCAL(g)}@{DOMAIN(g)}"),
    ("ip", "", ("from ", "IP "), lambda g: ".".join(str(g.randint(11, 223)) for _ in range(4))),
    ("ip", "", ("from ",), lambda g: "2001:db8:" + ":".join(f"{g.randint(4096, 65535):x}" for _ in range(6))),
]


def plant(texts: list[str], count: int, seed: int) -> list[tuple[str, Item, int]]:
    """Texts with one thing planted each at the end of a sentence or clause, and where it begins."""
    generator = random.Random(seed)
    planted = []
    for number in range(count):
        kind, country, befores, make = FORMS[number % len(FORMS)]
        item = Item(kind, country, generator.choice(befores), make(generator))
        text = generator.choice(texts)
        ends = [match.end() for match in re.finditer(r"[.,;!?] |[。，；]", text)] or [len(text)]
        place = generator.choice(ends)
        glue = "" if text[place - 1 : place] in " 。，；" else " "
        start = place + len(glue + item.before)
        planted.append((f"{text[:place]}{glue}{item.before}{item.value}, {text[place:]}", item, start))
    return planted
