"""Which words of a query are found in a document, and where."""

import gc
import time

import pytest

from tfchain.deployment.server.text.words import find_matches


def find(query: str, document: str) -> list[str]:
    return [document[match.start : match.end] for match in find_matches(query, document)]


@pytest.mark.parametrize(
    ("query", "document", "found"),
    [
        (
            "merge LISTS",
            "Lists merge; list-merging merged a listing",
            ["Lists", "merge", "list", "merging", "merged", "listing"],
        ),
        ("running", "He runs, ran and RUN.", ["runs", "RUN"]),
        ("copies", "copy copied copying cop", ["copy", "copied", "copying"]),
        ("boxes classes", "box class boxy", ["box", "class"]),
        ("cafe", "Café CAFE\u0301 cafés caffè", ["Café", "CAFE\u0301", "cafés"]),
        ("straße", "STRASSE Straße", ["STRASSE", "Straße"]),
        ("Ａｂｃ", "abc ABC ａbc", ["abc", "ABC", "ａbc"]),
        ("merge", "merge_sort emerge <merge>", ["merge", "merge"]),
        ("int8 3.5", "int8, int16, 3, 35", ["int8", "3"]),
        ("привет", "Привет, мир", ["Привет"]),
        ("the cat's", "the cats' s", ["cats"]),
        ("who is it", "It is who it was", ["It", "is", "who", "it"]),
        ("this is a cat", "this is a cat", ["cat"]),
        ("", "a cat", []),
        ("?!", "?!", []),
        ("cat", "", []),
    ],
)
def test_words_are_found_in_any_case_with_any_accents_and_inflected(
    query: str, document: str, found: list[str]
) -> None:
    assert find(query, document) == found


@pytest.mark.parametrize(
    ("query", "document", "found"),
    [
        ("清华大学在哪里", "北京的清华大学，清洁的大楼", ["清华", "华大", "大学"]),
        ("什么是北京的首都", "首都北京", ["首都", "北京"]),
        ("猫", "小猫和猫咪", ["猫", "猫"]),
        ("的", "我的猫的", ["的", "的"]),
        ("BERT模型", "用bert训练模型", ["bert", "模型"]),
        ("how does 猫咪 sleep", "how 猫咪 sleeps", ["猫咪", "sleeps"]),
        ("東京タワー", "東京にあるタワー", ["東京", "タワ", "ワー"]),
        ("𠮷野", "𠮷野家", ["𠮷野"]),
    ],
)
def test_chinese_and_japanese_are_found_by_pairs_of_characters(query: str, document: str, found: list[str]) -> None:
    assert find(query, document) == found


def test_places_count_code_points() -> None:
    (match,) = find_matches("cat", "😀e\u0301 cat")
    assert (match.start, match.end, match.term) == (4, 7, "cat")


def test_the_words_of_a_huge_query_are_those_of_its_beginning() -> None:
    assert find("cat " * 500 + "dog", "A dog and a cat.") == ["cat"]
    assert find("x" * 100_000, "x" * 100_000) == []


@pytest.mark.parametrize("unit", ["cat ", "a\u0301", "北京", "cat", ". \n", "ab<x>"])
def test_the_time_is_linear(unit: str) -> None:
    times = []
    gc.disable()  # a collection takes as long as the whole process has objects
    try:
        for size in (20_000, 200_000):
            start = time.thread_time()
            find_matches("cat 北京 ab", unit * (size // len(unit)))
            times.append(time.thread_time() - start)
    finally:
        gc.enable()
    assert times[1] < 50 * max(times[0], 0.004)  # a square would be a hundredfold
