"""Terms are found in texts, and their translations written in tokens."""

import re

import pytest

from tfchain.core.errors import InputError
from tfchain.tasks.translation.constrained import Spelling
from tfchain.tasks.translation.glossary import Glossary, spell

PIECES = ["<unk>", "▁", "▁ca", "▁cat", "t", "猫", "▁猫", "。", "很", "▁。"]


def encode(text: str) -> list[int]:
    """Takes the longest piece at each place."""
    rest, ids = "▁" + text.replace(" ", "▁"), []
    while rest:
        found = max((piece for piece in PIECES if rest.startswith(piece)), key=len, default="<unk>")
        ids.append(PIECES.index(found))
        rest = rest[1 if found == "<unk>" else len(found) :]
    return ids


def decode(ids) -> str:
    return "".join(PIECES[number] for number in ids).replace("▁", " ").strip()


def test_terms_are_found_as_whole_words_longest_first() -> None:
    glossary = Glossary({"cat": "猫", "cat food": "猫粮", "Apple": "苹果公司", "狗": "dog"})
    assert glossary.find("Cat  food for a cat.") == {"cat food": "猫粮", "cat": "猫"}
    assert glossary.find("Concatenate an apple; cats.") == {}
    assert glossary.find("Apple has 小狗儿") == {"Apple": "苹果公司", "狗": "dog"}
    assert Glossary({}).find("cat") == {}
    both = Glossary({"apple": "苹果", "Apple": "苹果公司"})
    assert both.find("Apple ate an apple.") == {"Apple": "苹果公司", "apple": "苹果"}
    assert both.find_spans("Apple ate") == []
    assert Glossary({"Yahoo! Inc.": "雅虎"}).find_spans("At Yahoo! Inc. today") == [(3, 14)]


def test_a_phrase_is_spelled_with_its_space_where_its_script_has_spaces() -> None:
    assert spell("cat", encode=encode, decode=decode) == [Spelling((3,))]
    assert spell("猫", encode=encode, decode=decode) == [Spelling((6,), "first"), Spelling((5,), "later")]


def test_what_cannot_be_used_is_an_error() -> None:
    for terms, message in (
        ({"cat": ""}, "texts that are not empty. Received: 'cat': ''"),
        ([("cat", "猫")], "must be a dict from terms to translations. Received: list"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            Glossary(terms)
    with pytest.raises(InputError, match="cannot write '狗' of the glossary: its tokens read '<unk>'"):
        spell("狗", encode=encode, decode=decode)
