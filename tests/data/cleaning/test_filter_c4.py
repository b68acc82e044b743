"""Tests of the rules of C4."""

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.cleaning.filter_c4 import FilterC4
from tfchain.data.steps.run import StepsRun

PAGE = (
    "Home | About\n"
    "The committee met on Monday to talk.\n"
    "It agreed with the plan.[1] Nobody was against it.\n"
    "Too short.\n"
    "Please turn on javascript to see this page.\n"
    "This site uses cookies to make it better.\n"
    "It will meet again next week, as always."
)
CLEANED = (
    "The committee met on Monday to talk.\n"
    "It agreed with the plan. Nobody was against it.\n"
    "It will meet again next week, as always."
)


def test_lines_go_and_the_page_stays():
    run = StepsRun([FilterC4()])
    assert run.process([Document("1", PAGE)]) == [Document("1", CLEANED)]
    assert run.logs[0].changed == {
        "c4: citations": 1,
        "c4: no terminal mark": 1,
        "c4: too few words in a line": 1,
        "c4: javascript": 1,
        "c4: policy": 1,
    }


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"terminal_marks": False, "min_words_per_line": None}, "Home | About"),
        ({"min_words_per_line": 2}, "Too short."),
        ({"javascript": False}, "Please turn on javascript to see this page."),
        ({"policies": False}, "This site uses cookies to make it better."),
        ({"citations": False}, "It agreed with the plan.[1] Nobody was against it."),
    ],
)
def test_each_rule_on_lines_can_be_switched_off(settings, line):
    assert line not in CLEANED.split("\n")
    (document,) = FilterC4(**settings)([Document("1", PAGE)])
    assert line in document.text.split("\n")


@pytest.mark.parametrize(
    ("text", "settings", "rule"),
    [
        (f"{CLEANED}\nfunction() {{ return 1 }}.", {"curly_brackets": False}, "curly bracket"),
        (f"{CLEANED}\nLorem ipsum dolor sit amet, and so on.", {"lorem_ipsum": False}, "lorem ipsum"),
        ("The committee met on Monday to talk.", {"min_sentences": 1}, "too few sentences"),
    ],
)
def test_each_rule_on_pages_can_be_switched_off(text, settings, rule):
    run = StepsRun([FilterC4()])
    assert run.process([Document("1", text)]) == []
    assert run.logs[0].dropped == {f"c4: {rule}": 1}
    assert len(list(FilterC4(**settings)([Document("1", text)]))) == 1


def test_bad_words_are_those_that_are_given():
    page = Document("1", CLEANED)
    assert list(FilterC4(bad_words=("commit",))([page])) == [page]
    assert list(FilterC4(bad_words=("Committee",))([page])) == []
    chinese = Document("2", "今天我们去公园玩。天气非常好。大家都很高兴。")
    assert list(FilterC4(bad_words=("公园",))([chinese])) == []


def test_chinese_sentences_end_with_their_own_marks():
    chinese = Document("2", "今天我们去公园玩。天气非常好！大家都很高兴。")
    assert list(FilterC4()([chinese])) == [chinese]


def test_structure_stays_unless_it_is_to_go():
    text = f"# A heading\n\n{CLEANED}\n\n- a point\n1. another\n| a | b |\n```\ncode\n```"
    document = Document("1", text)
    assert list(FilterC4()([document])) == [document]
    (plain,) = FilterC4(keep_structure=False)([document])
    assert plain.text.strip() == CLEANED


def test_rows_are_judged_by_their_column_and_pages_stay_right():
    row = {"query": "no mark", "text": PAGE}
    assert list(FilterC4()([row])) == [{"query": "no mark", "text": CLEANED}]
    paged = Document("1", PAGE, "", {"page_starts": [0, PAGE.index("It will")]})
    (cleaned,) = FilterC4()([paged])
    assert cleaned.text[cleaned.metadata["page_starts"][1] :] == "It will meet again next week, as always."


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="`bad_words` must be a list. Received: bad_words='a'"):
        FilterC4(bad_words="a")
    with pytest.raises(InputError, match="`min_sentences` must be a whole number of at least 0"):
        FilterC4(min_sentences=0.5)
