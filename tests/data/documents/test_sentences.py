"""Where sentences end, worked out by hand."""

import time

import pytest

from tfchain.data.documents.sentences import find_sentence_ends, find_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Who came. He left.", ["Dr. Who came.", "He left."]),
        ("It costs 3.14 euros. Is it e.g. cheap? No!", ["It costs 3.14 euros.", "Is it e.g. cheap?", "No!"]),
        ("J. Smith et al. found it (Fig. 2). We agree.", ["J. Smith et al. found it (Fig. 2).", "We agree."]),
        ("See example.org?x=1 now. done", ["See example.org?x=1 now. done"]),
        ('"Go." He went... Then he came back.', ['"Go."', "He went...", "Then he came back."]),
        ("A wrapped line\ngoes on. A title\nNext line", ["A wrapped line\ngoes on.", "A title", "Next line"]),
        ("one\n\ntwo", ["one", "two"]),
        ("1. Install it.\n2. Run it.", ["1. Install it.", "2. Run it."]),
        ("我们走吧。“你好！”他说；再见？", ["我们走吧。", "“你好！”", "他说；再见？"]),
        ("今日は晴れ。「はい。」", ["今日は晴れ。", "「はい。」"]),
        ("สวัสดีครับ ผมชื่อสมชาย 25 ปี", ["สวัสดีครับ", "ผมชื่อสมชาย 25 ปี"]),
        ("यह घर है। वह आया।", ["यह घर है।", "वह आया।"]),
        ("", []),
        ("  ", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in find_sentences(text)] == sentences


def test_ends_are_ascending_and_without_the_end_of_the_text() -> None:
    assert find_sentence_ends("One. Two") == [4]
    assert find_sentence_ends("One. Two.") == [4, 9]


@pytest.mark.parametrize(
    "text", [" " * 100_000 + "b", "." * 100_000 + "b", "a" * 100_000, "a. " * 50_000, "\n " * 50_000]
)
def test_no_text_takes_quadratic_time(text: str) -> None:
    start = time.perf_counter()
    find_sentences(text)
    assert time.perf_counter() - start < 3
