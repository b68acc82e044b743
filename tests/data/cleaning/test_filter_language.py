"""Tests of keeping texts of some languages."""

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.cleaning import filter_language
from tfchain.data.cleaning.filter_language import FilterLanguage
from tfchain.data.steps.run import StepsRun

ENGLISH = "The committee will meet again on Thursday."
GERMAN = "Der Ausschuss tagt am Donnerstag noch einmal."
CHINESE = "委员会将于星期四再次开会讨论该提案。"


def test_other_languages_go_with_their_names_as_reasons():
    run = StepsRun([FilterLanguage(keep=("en", "zh"))])
    rows = [{"text": text} for text in (ENGLISH, GERMAN, CHINESE, "12 34 56 78 90 !")]
    assert run.process(rows) == [rows[0], rows[2]]
    assert run.logs[0].dropped == {"language de": 1, "no language": 1}


def test_each_text_of_a_row_counts_and_a_short_text_is_not_judged():
    rows = [
        {"query": ENGLISH, "positive": CHINESE},
        {"query": ENGLISH, "positive": GERMAN},
        {"query": "Guten Tag", "positive": ENGLISH},
    ]
    assert list(FilterLanguage(keep=("en", "zh"))(rows)) == [rows[0], rows[2]]
    assert list(FilterLanguage(keep=("en", "zh"), min_words=1)(rows)) == [rows[0]]


def test_a_document_is_judged_as_a_whole():
    document = Document("1", ENGLISH * 3, "Der Ausschuss tagt am Donnerstag")
    assert list(FilterLanguage(keep=("en",))([document])) == [document]


def test_low_confidence_is_a_reason_of_its_own(monkeypatch):
    monkeypatch.setattr(filter_language, "detect_language", lambda text: ("en", 0.4))
    run = StepsRun([FilterLanguage(keep=("en",), min_confidence=0.5)])
    assert run.process([{"text": ENGLISH}]) == []
    assert run.logs[0].dropped == {"language uncertain": 1}


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="`keep` must be a list of codes of languages. Received: keep='en'. Use"):
        FilterLanguage(keep="en")
    with pytest.raises(InputError, match=r"`min_confidence` must be in \[0, 1\]. Received: min_confidence=2"):
        FilterLanguage(keep=("en",), min_confidence=2)
    with pytest.raises(InputError, match="Received: 'zh-CN'. Did you mean 'zh'"):
        StepsRun([FilterLanguage(keep=("zh-CN",))])
