from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.texts import check_queries, check_texts, has_surrogate, replace_surrogates


def test_a_list_of_texts_may_be_any_iterable_of_strings() -> None:
    for texts in (["a", "b"], ("a", "b"), np.array(["a", "b"]), np.array(["a", "b"], object), iter(["a", "b"])):
        assert check_texts(texts) == ["a", "b"]
    for texts in (["a", "b"], ("a", "b"), np.array(["a", "b"]), np.array(["a", "b"], object), iter(["a", "b"])):
        assert check_queries(texts) == ["a", "b"]
    assert check_texts([]) == check_queries([]) == []
    assert check_texts(["", " "]) == ["", " "]
    assert check_queries("a b") == ["a b"]
    assert {type(text) for text in check_queries(np.array(["a", "b"]))} == {str}


def test_the_keys_of_a_dict_have_an_order_and_a_set_has_none() -> None:
    keys = {"b": 1, "a": 2}.keys()
    assert check_texts(keys) == check_queries(keys) == ["b", "a"]
    for texts in ({"a", "b"}, frozenset("ab"), {"a": 1}.items()):
        with pytest.raises(InputError, match="Make a list of them: the vectors come in its order"):
            check_texts(texts)
    with pytest.raises(InputError, match=r"Received: bytes\. Decode them first\.$"):
        check_texts(b"ab")


@pytest.mark.parametrize("texts", [None, 5, {"a": "b"}, b"ab", np.array("a"), np.float32(1)])
def test_what_is_not_a_list_is_named(texts: Any) -> None:
    with pytest.raises(InputError, match=f"`texts` must be .* list of strings. Received: {type(texts).__name__}"):
        check_texts(texts)
    with pytest.raises(InputError, match=f"A query must be .* list of strings. Received: {type(texts).__name__}"):
        check_queries(texts)


@pytest.mark.parametrize("wrong", [None, 5, b"a", ["a"], float("nan"), np.array(["a"])])
def test_what_is_not_a_text_is_named_with_its_place(wrong: Any) -> None:
    for check, word in ((check_texts, "Each text"), (check_queries, "A query")):
        with pytest.raises(InputError, match=rf"{word} must be a string. Received: .* of type .* at position 1"):
            check(["a", wrong])


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u3000"])
def test_an_empty_query_is_refused(blank: str) -> None:
    for queries in (blank, [blank]):
        with pytest.raises(InputError, match="A query must not be empty. Received: .* at position 0"):
            check_queries(queries)


def test_half_a_surrogate_becomes_the_replacement_character_and_two_halves_their_own() -> None:
    assert replace_surrogates("a\ud800b") == "a\ufffdb"
    assert replace_surrogates("\udc00\ud800") == "\ufffd\ufffd"
    assert replace_surrogates("\ud83d\ude00!") == "😀!"
    assert replace_surrogates("plain \0 你好") == "plain \0 你好"
    assert [has_surrogate(text) for text in ("", "a", "😀", "\ud83d\ude00", "\udfff")] == [False] * 3 + [True] * 2
