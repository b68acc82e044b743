"""Tests of finding phone numbers in the ways of six countries, with what looks like them."""

import sys
import time

import pytest

from tfchain.core.errors import MissingPackageError
from tfchain.data.cleaning.personal.phones import find_phones, load_phonenumbers


def phones(text, *regions):
    return [text[start:end] for start, end, _ in (find_phones(text, regions) if regions else find_phones(text))]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("请拨打13812345678。", "13812345678"),
        ("手机138 1234 5678", "138 1234 5678"),
        ("办公室010-62345678转", "010-62345678"),
        ("0086 138 1234 5678", "0086 138 1234 5678"),
        ("客服 400-810-1234", "400-810-1234"),
        ("at (212) 736-5000 today", "(212) 736-5000"),
        ("212.736.5000", "212.736.5000"),
        ("Call 2127365000", "2127365000"),
        ("+1 212-736-5000", "+1 212-736-5000"),
        ("020 7946 0958", "020 7946 0958"),
        ("07911 123456", "07911 123456"),
        ("+44 (0)20 7946 0958", "+44 (0)20 7946 0958"),
        ("Tel. 030/901820", "030/901820"),
        ("0171 1234567", "0171 1234567"),
        ("01 42 68 53 00", "01 42 68 53 00"),
        ("+33 6 12 34 56 78", "+33 6 12 34 56 78"),
        ("98765 43210", "98765 43210"),
        ("022-27571234", "022-27571234"),
    ],
)
def test_numbers_as_each_country_writes_them(text, number):
    assert phones(text) == [number]


def test_numbers_that_follow_each_other_are_told_apart():
    assert phones("+8613812345678 0086 138 1234 5678, 07911123456; 01 42 68 53 00") == [
        *("+8613812345678", "0086 138 1234 5678", "07911123456", "01 42 68 53 00")
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("2023-10-12", "12.10.2023", "1995-2005", "pages 1023-1045", "2127365000", "978-3-16-148410-0"),
        *("doi:10.1016/j.cell.2020.01.012", "version 10.4.2.1001", "3.14159265358979", "0.1234567890", "192.168.10.1"),
        *("12:30:45", "1,234,567,890", "$ 2 127 365 000", "RFC 2119", "PMID 12345678", "GSE12345678", "20231012123045"),
        *("706 135 469 180 065 278 712 755 853 360", "resting cell lines. PD 0332991 enhances"),
        *(
            "110105194912310021",
            "0123456789abcdef",
            "n = 1234567",
            "1234 5678 9012",
            "p<0.0000001",
            "ISBN 0786904070",
            "PF-04449913 640 mg",
        ),
    ],
)
def test_what_is_no_phone_number(text):
    assert phones(text) == []


def test_national_numbers_only_of_the_regions_asked_for():
    assert phones("at (212) 736-5000", "CN", "FR") == []
    assert phones("Call 612 34 56 78", "ES") == ["612 34 56 78"]


@pytest.mark.parametrize("part", ["1", "1 ", "1-", "+", "(1) ", "00"])
def test_hostile_texts_take_linear_time(part):
    begin = time.perf_counter()
    phones(part * (40_000 // len(part)))
    assert time.perf_counter() - begin < 4


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    load_phonenumbers.cache_clear()
    with pytest.raises(MissingPackageError, match=r"needs the package phonenumbers.*pip install 'tfchain\[data\]'"):
        phones("+1 212-736-5000")
    load_phonenumbers.cache_clear()
