"""Tests of repairing characters."""

import random
import sys
from collections import Counter
from re import _parser  # type: ignore[attr-defined]

import ftfy
import pytest
from ftfy import badness

from tfchain.core.errors import InputError, MissingPackageError
from tfchain.core.types import Document
from tfchain.data.cleaning.repair_text import (
    CONTROL,
    INVISIBLE,
    LINE_BREAK,
    RepairText,
    fix_encoding,
    is_clean,
    load_ftfy,
)


def repair(text: str, **settings) -> tuple[str, dict[str, int]]:
    found: Counter[str] = Counter()
    return RepairText(**settings).change(text, found), dict(found)


@pytest.mark.parametrize(
    ("text", "repaired", "reasons"),
    [
        ("The schÃ¶n house", "The schön house", {"wrong decoding"}),
        ("å\x8c—äº¬", "北京", {"wrong decoding"}),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd", {"line ends"}),
        ("a\x00b\x1b[31mred\x1b[0m\x07", "abred", {"control characters"}),
        ("zero\u200bwidth so\u00adft \ufeffmark", "zerowidth soft mark", {"invisible characters"}),
        ("hidden\U000e0041\U000e0042", "hidden", {"invisible characters"}),
        ("cafe\u0301", "café", {"NFC"}),
        ("half \ud83d pair", "half � pair", {"half surrogates"}),
        ("pair \ud83d\ude00", "pair 😀", {"half surrogates"}),
    ],
)
def test_what_is_broken_is_repaired_and_named(text, repaired, reasons):
    assert repair(text) == (repaired, dict.fromkeys(reasons, 1))


@pytest.mark.parametrize(
    "text",
    [
        "Plain text\twith a tab.\n\nAnd lines.",
        "“Curly” quotes, an ellipsis… and a ﬁ ligature",
        "你好，世界！ＡＢＣ　１２３",
        "می‌خواهم and 👩‍👩‍👧 keep their joiners",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f is a flag of tags",
        "&amp; is for another step",
        "São Paulo, Ärger, Åse, œuvre",
    ],
)
def test_what_reads_well_stays(text):
    assert repair(text) == (text, {})


def test_wrong_decoding_is_found_wherever_ftfy_finds_it():
    draw = random.Random(3)
    signs = ["schÃ¶n", "â€™", "Ã ", "ГўВЂВ.a", "â‚¬", "Â ", "é", "€", "北京", "а", "\x85", "’", "Ø®Ù", "–", "naïve"]
    repaired = 0
    for _ in range(3000):
        pieces = [draw.choice(signs) if draw.random() < 0.2 else "a b,"[: draw.randrange(5)] * draw.randrange(12)]
        pieces += [draw.choice([*signs, "x" * draw.randrange(30), " "]) for _ in range(draw.randrange(5))]
        text = "".join(pieces)
        assert fix_encoding(text) == ftfy.fix_encoding(text)
        repaired += fix_encoding(text) != text
    assert 300 < repaired < 2700
    # What is left out of a first look must be out of the reach of ftfy's signs.
    widest = _parser.parse(badness.BADNESS_RE.pattern, badness.BADNESS_RE.flags).getwidth()[1]
    assert widest <= 8


def test_a_clean_text_has_nothing_that_would_go():
    letters = map(chr, (*range(0x3000), *range(0xFE00, 0x10000), 0x1F3F4, *range(0xE0000, 0xE0100)))
    going = [
        letter for letter in letters if any(pattern.search(letter) for pattern in (LINE_BREAK, CONTROL, INVISIBLE))
    ]
    assert len(going) > 180
    assert not any(is_clean(f"a{letter}") for letter in going)
    assert is_clean("a\tb\né京")


def test_each_repair_can_be_switched_off():
    broken = "schÃ¶n\x07\u200be\u0301\u00a0x"
    assert repair(broken, encoding=False, control=False, invisible=False, form="none") == (broken, {})
    assert repair("Ａ　ﬁ，", form="NFKC")[0] == "A fi,"
    assert repair("  a\u00a0b   c\td", spaces=True)[0] == "  a b c\td"


def test_documents_keep_the_rest():
    document = Document("1", "schÃ¶n", "cafe\u0301", {"a": 1})
    assert list(RepairText()([document])) == [Document("1", "schön", "café", {"a": 1})]


def test_a_text_of_invisible_characters_alone_is_dropped():
    assert list(RepairText()([{"text": "\u200b\u200b"}, {"text": "a"}])) == [{"text": "a"}]


def test_wrong_settings_and_a_missing_package_are_named(monkeypatch):
    with pytest.raises(InputError, match="`form` must be one of: NFC, NFKC, none. Received: form='NFD'"):
        RepairText(form="NFD")
    monkeypatch.setitem(sys.modules, "ftfy", None)
    load_ftfy.cache_clear()
    with pytest.raises(MissingPackageError, match=r"needs the package ftfy.*pip install 'tfchain\[data\]'"):
        repair("schÃ¶n")
