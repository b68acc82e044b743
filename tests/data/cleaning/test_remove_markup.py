"""Tests of removing HTML from texts."""

import time
from collections import Counter

import pytest

from tfchain.data.cleaning.remove_markup import RemoveMarkup


def clean(text: str, **settings) -> str:
    return RemoveMarkup(**settings).change(text, Counter())


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("<p>One</p><p>Two <b>bold</b> words</p>", "One\n\nTwo bold words\n"),
        ("a<br/>b<BR>c", "a\nb\nc"),
        ("<div class='x'><ul><li>A</li><li>B</li></ul></div>", "A\n\nB\n\n"),
        ("x <!-- a <b>comment</b> --> y", "x   y"),
        ("a<script type='x'>if (a < b) { alert('<p>') }</script>b<style>p { }</style>", "a b "),
        ("Fish &amp; chips &lt;3 &#8217;&#x4e2d;", "Fish & chips <3 ’中"),
        ("a<script>never closed", "anever closed"),
        ('<a href="http://x.y">链接</a>。', "链接。"),
    ],
)
def test_markup_becomes_text(text, cleaned):
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "if a < b and c > d",
        "a List<String> and a <T> and <placeholder>",
        "AT&T, R&D; Q&A",
        "Inline `<div>` and:\n```html\n<p>&amp;</p>\n```\nend",
        "```\n<p>never closed",
        "x <3 y -> z",
    ],
)
def test_what_is_no_markup_stays(text):
    assert clean(text) == text


def test_code_stays_and_the_rest_is_cleaned():
    assert clean("<b>Use</b> `<br>` or\n```\n<i>\n```\n<i>now</i>") == "Use `<br>` or\n```\n<i>\n```\nnow"


def test_each_kind_can_be_switched_off_and_is_counted():
    text = "<b>a</b> &amp; b"
    assert clean(text, tags=False) == "<b>a</b> & b"
    assert clean(text, entities=False) == "a &amp; b"
    found: Counter[str] = Counter()
    RemoveMarkup().change(text, found)
    assert found == {"tags": 1, "entities": 1}


@pytest.mark.parametrize("part", ["<script>", "<!--", "<a ", "`", "```\n", "&", "<", "~~~\n\n"])
def test_hostile_texts_take_linear_time(part):
    begin = time.perf_counter()
    clean(part * (400_000 // len(part)))
    assert time.perf_counter() - begin < 2
