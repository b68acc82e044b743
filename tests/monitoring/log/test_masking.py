"""Masks and pseudonyms."""

from tfchain.monitoring.log.masking import Masker

MASKER = Masker(lambda text: text.replace("13812345678", "[PHONE]"))


def test_every_text_name_and_number_of_a_value_is_masked() -> None:
    value = {"13812345678": [13812345678, 12, 0.5, True, None, ("13812345678",)]}
    assert MASKER.value(value) == {"[PHONE]": ["[PHONE]", 12, 0.5, True, None, ["[PHONE]"]]}


def test_a_person_has_one_pseudonym_in_a_run_and_another_in_the_next() -> None:
    assert MASKER.person("ana") == MASKER.person("ana") != MASKER.person("bob")
    assert MASKER.person("ana") != Masker(MASKER.mask).person("ana")
    assert MASKER.person("") == ""
    assert "ana" not in repr(MASKER)


def test_an_id_stays_unless_it_is_personal() -> None:
    assert MASKER.identifier("q-1") == "q-1"
    assert MASKER.identifier("13812345678") == MASKER.person("13812345678")
