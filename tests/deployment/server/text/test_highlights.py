"""Which passages of a document are shown, and what is marked in them."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfchain.deployment.server.text.highlights import Highlight, find_highlights

PARTS = ("cat", "dog", "cats", "北京", "北", "的", "é", "e\u0301", ".", "。", "\n", "<b>", "😀", "\u200d", "word")
FILLER = "Nothing of interest is said in this sentence. " * 8


def show(highlight: Highlight) -> str:
    """The passage with brackets round its marks."""
    text = highlight.text
    for start, end in reversed(highlight.marks):
        text = f"{text[:start]}[{text[start:end]}]{text[end:]}"
    return text


def test_a_short_document_is_one_passage() -> None:
    (found,) = find_highlights("cats", "  The cat sleeps.\nA dog runs. ")
    assert (show(found), found.start) == ("The [cat] sleeps.\nA dog runs.", 2)


def test_a_document_without_the_words_shows_its_beginning() -> None:
    (found,) = find_highlights("zebra", FILLER)
    assert found == Highlight(FILLER[: 46 * 5 - 1], 0, [])


@pytest.mark.parametrize("document", ["", " \n\t "])
def test_an_empty_document_has_no_passage(document: str) -> None:
    assert find_highlights("cat", document) == []


def test_the_passage_begins_and_ends_at_sentences() -> None:
    document = f"{FILLER}The cat sleeps on the mat all day. It wakes. {FILLER}"
    (found,) = find_highlights("when does a cat sleep", document)
    assert found.start == len(FILLER)
    assert show(found).startswith("The [cat] [sleeps] on the mat all day. It wakes. Nothing")
    assert found.text.endswith("sentence.")
    assert len(found.text) <= 240


def test_the_stretch_with_the_most_different_words_is_shown() -> None:
    document = f"Cat cat cat cat. {FILLER}The cat and the dog sleep. {FILLER}"
    (found,) = find_highlights("cat dog sleep", document)
    assert show(found).startswith("The [cat] and the [dog] [sleep].")


def test_words_that_are_closer_together_are_shown_in_their_sentence() -> None:
    middle = "This sentence says nothing, but it fills some of the room. "
    document = f"{FILLER}A cat. {middle * 2}The dog and the cat sleep. {FILLER}"
    (found,) = find_highlights("cat dog", document)
    assert show(found).startswith("The [dog] and the [cat] sleep.")


def test_a_second_passage_has_words_that_the_first_has_not() -> None:
    document = f"A dog runs after a cat. {FILLER}Stocks fell. {FILLER}A bird."
    first, second = find_highlights("cat dog stocks bird", document)
    assert show(first).startswith("A [dog] runs after a [cat].")
    assert show(second).startswith("[Stocks] fell.")


def test_a_match_at_the_end_shows_what_is_before() -> None:
    (found,) = find_highlights("cat", f"{FILLER}The cat.")
    assert show(found).endswith("The [cat].")
    assert found.text.startswith("Nothing")
    assert 200 < len(found.text) <= 240


def test_a_long_sentence_is_cut_between_words() -> None:
    document = f"{'word ' * 100}cat {'next ' * 100}"
    (found,) = find_highlights("cat", document)
    assert re.fullmatch(r"(word )+\[cat\]( next)+", show(found))
    assert 180 <= len(found.text) <= 240


def test_a_text_without_spaces_is_cut_anywhere_but_not_before_an_accent() -> None:
    (found,) = find_highlights("cat", "e\u0301" * 1000)
    assert len(found.text) in (240, 241)
    assert (found.text[0], found.text[-1]) == ("e", "\u0301")


def test_a_chinese_passage_is_half_as_long_and_has_whole_marks() -> None:
    document = "这里没有什么可看的。" * 30 + "清华大学位于北京市海淀区。" + "这里没有什么可看的。" * 30
    (found,) = find_highlights("清华大学在北京吗", document)
    assert show(found).startswith("[清华大学]位于[北京]市海淀区。")
    assert found.text.endswith("。")
    assert 100 <= len(found.text) <= 120


def test_markup_is_text() -> None:
    document = '<img src=x onerror="alert(1)"><script>cat()</script>'
    (found,) = find_highlights("cat script", document)
    assert show(found) == '<img src=x onerror="alert(1)"><[script]>[cat]()</[script]>'


def test_hard_wrapped_lines_are_one_sentence() -> None:
    document = f"{FILLER}\n\nThe dog\nsees the cat\nand runs.\n\n{FILLER}"
    (found,) = find_highlights("cat", document)
    assert show(found).startswith("The dog\nsees the [cat]\nand runs.")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(PARTS)).map(" ".join),
    st.lists(st.sampled_from(PARTS), max_size=300),
    st.sampled_from(["", " "]),
)
def test_passages_are_parts_of_the_document_and_marks_lie_in_them(query: str, parts: list[str], glue: str) -> None:
    document = glue.join(parts)
    found = find_highlights(query, document)
    assert bool(found) == bool(document.strip())
    for highlight in found:
        assert document[highlight.start :].startswith(highlight.text)
        assert 0 < len(highlight.text) <= 240 + 16
        places = [place for mark in highlight.marks for place in mark]
        assert places == sorted(set(places))
        assert all(0 <= place <= len(highlight.text) for place in places)
    for left, right in itertools.pairwise(found):
        assert left.start + len(left.text) <= right.start
