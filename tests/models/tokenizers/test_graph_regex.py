"""Classes of characters for graphs, beside Unicode's tables and Python's regular expressions."""

import re
import unicodedata

import pytest
import tensorflow as tf
from tokenizers import pre_tokenizers

from tfchain.models.tokenizers.added_tokens import WHITE_SPACE, find_word_characters
from tfchain.models.tokenizers.graph_regex import escape, find_cases, find_class, find_isolated, to_class


def test_classes_are_written_as_ranges() -> None:
    assert to_class(frozenset(map(ord, "abcx"))) == "[a-cx]"
    assert to_class(frozenset([0x20, 0x5D, 0x10FFFF])) == r"[\x{20}\x{5D}\x{10FFFF}]"
    assert escape("a.\x00é_") == r"a\x{2E}\x{0}\x{E9}\x{5F}"


@pytest.mark.parametrize("atom", [r"\p{L}", r"\p{N}", r"\p{Lu}"])
def test_classes_are_unicodes_where_python_knows_the_characters(atom: str) -> None:
    name = atom[3:-1]
    assigned = [code for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")]
    expected = {code for code in assigned if unicodedata.category(chr(code)).startswith(name)}
    assert find_class(atom).intersection(assigned) == expected


def test_white_space_is_unicodes() -> None:
    assert find_class(r"\s") == WHITE_SPACE
    python = {code for code in range(0x110000) if re.match(r"\s", chr(code))} - {*range(0x1C, 0x20)}
    assert python == WHITE_SPACE


def test_planes_without_assigned_characters_are_in_a_class_as_a_whole() -> None:
    found = find_class(r"[^\p{L}]")
    assert {0x40000, 0x45678, 0x4FFFE, 0x10FFFF} <= found
    assert found.isdisjoint({ord("a"), *range(0xD800, 0xE000)})
    assert find_class(r"\p{Co}") >= {0xE000, 0xF0000, 0x10FFFD}
    assert find_class(r"\p{Co}").isdisjoint({0xFFFFE, 0x10FFFF, 0x40000})


def test_letters_that_case_joins_are_found() -> None:
    assert find_cases("s") == {ord("s"), ord("S"), 0x17F}
    assert find_cases("d") == {ord("d"), ord("D")}
    assert find_class("(?i:[k])") == {ord("k"), ord("K"), 0x212A}


def test_characters_that_are_words_by_themselves() -> None:
    digits = find_isolated(pre_tokenizers.Digits(individual_digits=True))
    assert {ord("0"), 0x663, 0xBD} <= digits
    assert digits.isdisjoint(map(ord, "ax !"))


def test_letters_digits_and_underscores_are_beside_a_word() -> None:
    found = find_word_characters()
    assert set(map(ord, "aZ9_é你\u0301\u0663")) <= found
    assert found.isdisjoint(map(ord, " .-!’"))


def test_re2_reads_the_classes_as_they_are_meant() -> None:
    pattern = to_class(find_class(r"[^\s\p{L}\p{N}]"))
    texts = ["a!b", "é", "\x00", "\U0010ffff", "\u2028"]
    assert tf.strings.regex_replace(texts, pattern, "#").numpy().tolist() == [
        *[b"a#b", "é".encode(), b"#", b"#", "\u2028".encode()]
    ]
