"""Tests of masking personal data and of leaving out what has some."""

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.cleaning.mask_personal_data import MaskPersonalData
from tfchain.data.steps.run import StepsRun

ROWS = [
    {"query": "Who is li@example.org?", "positive": "Call 13812345678 or +44 20 7946 0958.", "label": 1},
    {"query": "Version 2.10.4?", "positive": "See ISBN 978-3-16-148410-0."},
]


class Analyzer:
    def analyze(self, text, entities, language):
        place = text.find("Ada")
        return [type("Result", (), {"start": place, "end": place + 3, "score": 1.0})] if place >= 0 else []


def test_personal_data_becomes_its_kind_and_is_counted():
    run = StepsRun([MaskPersonalData()])
    masked = run.process(ROWS)
    assert masked[0] == {"query": "Who is [EMAIL]?", "positive": "Call [PHONE] or [PHONE].", "label": 1}
    assert masked[1] is ROWS[1]
    assert run.logs[0].changed == {"email": 1, "phone": 1}
    assert run.process(masked) == masked


def test_records_with_some_can_be_dropped():
    run = StepsRun([MaskPersonalData(action="drop")])
    assert run.process(ROWS) == [ROWS[1]]
    assert run.logs[0].dropped == {"personal data: email, phone": 1}


def test_kinds_can_be_switched_off():
    (masked, _) = MaskPersonalData(kinds=("email",))(ROWS)
    assert masked["positive"] == ROWS[0]["positive"]


def test_names_come_from_an_analyzer_that_is_handed_in():
    step = MaskPersonalData(kinds=("email", "name"), analyzer=Analyzer())
    assert list(step([Document("1", "Dear Ada, a@b.org", "Ada")])) == [Document("1", "Dear [NAME], [EMAIL]", "[NAME]")]
    assert step.settings()["kinds"] == ("email", "name")
    assert "analyzer" not in step.settings()


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="`action` must be one of: mask, drop. Received: action='hide'"):
        MaskPersonalData(action="hide")
    with pytest.raises(
        InputError, match="`kinds` must be a list of some of: email, iban, card, .*Received: kinds=\\('mail',"
    ):
        MaskPersonalData(kinds=("mail",))
    with pytest.raises(InputError, match="`regions` must be a list of ISO 3166 codes, such as .* Received: 'CN'"):
        MaskPersonalData(regions="CN")
    with pytest.raises(InputError, match="`countries` must be a list of some of: CN, US"):
        MaskPersonalData(countries=("XX",))
