"""Tests of finding the language of a text, on sentences that Tatoeba and the interfaces of web pages have."""

import sys

import pytest

from tfchain.core.errors import MissingPackageError
from tfchain.data.cleaning.language import detect_language, known_languages, load_identifier

SENTENCES = {
    "en": "The committee will meet again on Thursday to discuss the proposal.",
    "zh": "委员会将于星期四再次开会讨论该提案。",
    "de": "Der Ausschuss wird am Donnerstag erneut über den Vorschlag beraten.",
    "fr": "Le comité se réunira de nouveau jeudi pour discuter de la proposition.",
    "es": "El comité se reunirá de nuevo el jueves para debatir la propuesta.",
    "ja": "委員会は木曜日に再び会合を開き、提案について議論します。",
    "ru": "Комитет снова соберётся в четверг, чтобы обсудить предложение.",
    "th": "คณะกรรมการจะประชุมอีกครั้งในวันพฤหัสบดีเพื่อหารือเกี่ยวกับข้อเสนอ",
}


@pytest.mark.parametrize(("code", "text"), SENTENCES.items())
def test_sentences_are_in_their_language(code, text):
    found, confidence = detect_language(text)
    assert found == code
    assert 0.8 < confidence <= 1


def test_short_chinese_is_chinese_whatever_its_dialect():
    assert detect_language("你好")[0] == "zh"
    code, confidence = detect_language("我是个男人。")  # the model alone says Wu
    assert code == "zh"
    assert confidence > 0.9


@pytest.mark.parametrize("text", ["", "  ", "12345", "!!! 🎉"])
def test_a_text_without_letters_has_no_language(text):
    assert detect_language(text) == ("und", 0.0)


def test_the_ends_of_a_long_text_decide():
    assert detect_language(SENTENCES["en"] * 20 + "Комитет " * 3000 + SENTENCES["en"] * 20)[0] == "en"


def test_codes_are_those_that_can_be_returned():
    known = known_languages()
    assert {"en", "zh", "de", "sw"} <= set(known)
    assert not {"wuu", "yue"} & set(known)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    monkeypatch.setattr("tfchain.data.cleaning.language.load_identifier", load_identifier.__wrapped__)
    with pytest.raises(MissingPackageError, match=r"needs the package py3langid.*pip install 'tfchain\[data\]'"):
        detect_language("hello")
