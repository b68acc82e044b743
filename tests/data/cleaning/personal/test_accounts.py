"""Tests of finding cards and IBANs, with the numbers that issuers and registries give for tests."""

import pytest

from tfchain.data.cleaning.personal.accounts import find_cards, find_ibans

CARDS = {
    "Visa": "4111 1111 1111 1111",
    "Visa, 13 digits": "4222222222222",
    "Mastercard": "5555-5555-5555-4444",
    "Mastercard, 2 first": "2223003122003222",
    "American Express": "3782 822463 10005",
    "Discover": "6011111111111117",
    "JCB": "3530111333300000",
    "Diners": "30569309025904",
    "UnionPay": "6200000000000005",
}
IBANS = [
    "GB29 NWBK 6016 1331 9268 19",
    "DE89370400440532013000",
    "FR1420041010050500013M02606",
    "CH93 0076 2011 6238 5295 7",
]


@pytest.mark.parametrize("number", CARDS.values(), ids=CARDS)
def test_cards_of_each_issuer(number):
    text = f"卡号{number}，有效期"
    assert [text[start:end] for start, end, _ in find_cards(text)] == [number]


@pytest.mark.parametrize(
    "text",
    [
        *("4111 1111 1111 1112", "1234 5678 9012 3452", "978-3-16-148410-0", "0000 0000 0000 0000"),
        *("41 11111111 111111", "x4111111111111111", "4111111111111111.5", "20231012123045", "3.1415926535897932"),
    ],
)
def test_what_is_no_card(text):
    assert list(find_cards(text)) == []


@pytest.mark.parametrize("iban", IBANS)
def test_ibans(iban):
    text = f"IBAN: {iban} BIC"
    assert [text[start:end] for start, end, _ in find_ibans(text)] == [iban]


@pytest.mark.parametrize(
    "text", ["GB29 NWBK 6016 1331 9268 18", "DE8937040044053201300", "AB12 CDEF GHIJ KLMN", "gb29nwbk60161331926819"]
)
def test_what_is_no_iban(text):
    assert list(find_ibans(text)) == []
