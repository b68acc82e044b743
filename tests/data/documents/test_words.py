"""Tests of cutting texts into words."""

import pytest

from tfchain.data.documents.words import cut_words, share_unspaced


def test_words_are_characters_where_a_script_has_no_spaces():
    assert cut_words("Top up, 充值 2.5 元！") == ["top", "up", "充", "值", "2", "5", "元"]
    assert cut_words("ไทยa") == ["ไ", "ท", "ย", "a"]


def test_case_and_width_do_not_matter():
    assert cut_words("ＡＢＣ Straße") == cut_words("abc STRASSE") == ["abc", "strasse"]


@pytest.mark.parametrize(
    ("text", "share"), [("hello", 0.0), ("你好", 1.0), ("abc 東京！", 0.4), ("naïve", 0.0), ("…", 0.0), ("", 0.0)]
)
def test_the_share_of_scripts_without_spaces_by_hand(text, share):
    assert share_unspaced(text) == share
