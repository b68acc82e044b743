"""Tests of finding national ids, with the examples that authorities and Wikipedia give."""

import time

import pytest

from tfchain.data.cleaning.personal.national_ids import COUNTRIES, find_national_ids

IDS = {
    "CN": "身份证号11010519491231002X。",
    "CN, district younger": "440103195212235477",
    "US": "her number 536-90-4399 was",
    "US after a word": "SSN: 536904399",
    "GB": "NI AB 12 34 56 C",
    "GB health": "NHS number 943 476 5919",
    "DE": "36 574 261 809",
    "DE after a word": "Steuer-ID 36574261809",
    "FR": "2 95 10 99 126 111 93",
    "ES": "DNI 54362315K",
    "ES, foreigner": "NIE X-2482300W",
    "IN": "2341 2341 2346",
    "IN after a word": "Aadhaar 234123412346",
    "IN, tax": "PAN ACUPA7085R",
    "IT": "RCCMNL83S18D969H",
    "BR": "390.533.447-05",
    "PL": "PESEL 44051401359",
    "NL": "BSN 111222333",
    "TR": "T.C. Kimlik 17291716060",
    "CA": "SIN 123-456-782",
    "AU": "TFN 123 456 782",
    "SE": "880320-0016",
    "FI": "131052-308T",
    "KR": "971013-9019902",
}
NUMBERS = {
    "CN": "11010519491231002X",
    "US": "536-90-4399",
    "US after a word": "536904399",
    "GB": "AB 12 34 56 C",
    "GB health": "943 476 5919",
    "DE after a word": "36574261809",
    "ES": "54362315K",
    "ES, foreigner": "X-2482300W",
    "IN after a word": "234123412346",
    "IN, tax": "ACUPA7085R",
    "PL": "44051401359",
    "NL": "111222333",
    "TR": "17291716060",
    "CA": "123-456-782",
    "AU": "123 456 782",
}


@pytest.mark.parametrize("name", IDS)
def test_ids_of_each_country(name):
    text = IDS[name]
    assert [text[start:end] for start, end, _ in find_national_ids(text)] == [NUMBERS.get(name, text)]


@pytest.mark.parametrize(
    "text",
    [
        *("110105194912310021", "666-12-3456", "000-12-3456", "536904399", "BG123456C", "943 476 5919", "36574261809"),
        *("NHS number 943 476 5918", "54362315A", "2341 2341 2345", "44051401359", "111222333", "2023-10-1234"),
        *("ISBN 978-3-16-148410-0", "doi:10.1016/j.cell.2020.01.012", "RFC 2119", "order 17291716060", "1.536-90-4399"),
    ],
)
def test_what_is_no_id(text):
    assert list(find_national_ids(text)) == []


def test_only_the_countries_asked_for():
    assert len(COUNTRIES) == 17
    assert list(find_national_ids("54362315K", ["CN", "US"])) == []


@pytest.mark.parametrize("part", ["1", "1 ", "A", "A1", "12-", "SSN 1"])
def test_hostile_texts_take_linear_time(part):
    begin = time.perf_counter()
    list(find_national_ids(part * (60_000 // len(part))))
    assert time.perf_counter() - begin < 3
