"""Tests of steps by name."""

from dataclasses import dataclass

import pytest

from tfchain.core.errors import InputError
from tfchain.data.preparation import step_names
from tfchain.data.preparation.step_names import make_steps
from tfchain.data.steps.step import Step


@dataclass(frozen=True)
class Keep(Step):
    name = "keep"
    words: tuple[str, ...] = ()
    least: int = 1


@pytest.fixture(autouse=True)
def only_keep(monkeypatch):
    monkeypatch.setattr(step_names, "STEP_TYPES", {"keep": f"{__name__}:Keep"})


def test_steps_are_made_of_names_and_settings():
    made = Keep(least=9)
    assert make_steps(["keep", {"keep": {"words": ["a", "b"], "least": 3}}, {"keep": None}, made]) == [
        Keep(),
        Keep(("a", "b"), 3),
        Keep(),
        made,
    ]


def test_every_name_leads_to_a_step_of_that_name(monkeypatch):
    monkeypatch.undo()
    for name in step_names.STEP_TYPES:
        assert step_names.find_step_type(name, "steps[0]").name == name


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("kep", "`steps[0]`: no step is named 'kep'. Did you mean 'keep'? Expected one of: keep."),
        (
            {"keep": {"lest": 3}},
            "`steps[0]`: keep has no setting 'lest'. Expected: words, least. Did you mean 'least'?",
        ),
        ({"keep": 3}, "The settings of `steps[0]` (keep) must be a dict. Received: 3."),
        ({"keep": {}, "other": {}}, "`steps[0]` must be a step's name, or a dict of one name and its settings."),
    ],
)
def test_a_wrong_entry_is_refused_with_what_was_expected(entry, message):
    with pytest.raises(InputError) as caught:
        make_steps([entry])
    assert message in str(caught.value)
