"""Tests of putting places together and replacing them."""

from tfchain.data.cleaning.personal.found import Found, replace_found, without_overlaps


def test_the_first_of_overlapping_places_stays():
    found = [Found(5, 9, "card"), Found(0, 6, "phone"), Found(9, 12, "ip"), Found(6, 7, "email"), Found(0, 5, "iban")]
    assert without_overlaps(found) == [Found(0, 5, "iban"), Found(5, 9, "card"), Found(9, 12, "ip")]


def test_each_place_becomes_its_kind():
    assert replace_found("ab cd ef", [Found(0, 2, "x"), Found(6, 8, "national_id")]) == "[X] cd [NATIONAL_ID]"
    assert replace_found("ab", []) == "ab"
