"""Tests of finding all kinds of personal data together."""

import pytest

from tfchain.data.cleaning.personal.personal_data import ALL_KINDS, find_personal_data

TEXT = (
    "Mail li@example.org, call +44 20 7946 0958, from 203.0.113.45; card 4111 1111 1111 1111, "
    "DE89370400440532013000, 11010519491231002X."
)


def found(text, *kinds, **settings):
    return {kind: text[start:end] for start, end, kind in find_personal_data(text, kinds or ALL_KINDS[:-1], **settings)}


def test_each_kind_is_found():
    assert found(TEXT) == {
        "email": "li@example.org",
        "phone": "+44 20 7946 0958",
        "ip": "203.0.113.45",
        "card": "4111 1111 1111 1111",
        "iban": "DE89370400440532013000",
        "national_id": "11010519491231002X",
    }


@pytest.mark.parametrize("kind", ["email", "phone", "ip", "card", "iban", "national_id"])
def test_each_kind_alone(kind):
    assert list(found(TEXT, kind)) == [kind]


def test_a_stricter_form_has_the_digits():
    # ten digits after a word for phones, and an NHS number by its check digit
    assert found("Phone the NHS: 943 476 5919", "phone") == {"phone": "943 476 5919"}
    assert found("Phone the NHS: 943 476 5919") == {"national_id": "943 476 5919"}


def test_a_card_is_not_an_id_with_digits_behind_it():
    assert found("Visa 5183 0891 4690 7226") == {"card": "5183 0891 4690 7226"}


def test_a_text_without_any_stays_unsearched():
    assert find_personal_data("Nothing in here, of any kind; only 12 words and 2024.") == []
    assert find_personal_data("") == []
