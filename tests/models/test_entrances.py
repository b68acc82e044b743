"""What may be given to `encode`, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder

TEXTS = ["the cat sleeps", "stocks fell on monday"]


@pytest.fixture(scope="module")
def encoder(tiny_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")


@pytest.mark.parametrize(
    "make",
    [tuple, np.array, lambda texts: np.array(texts, dtype=object), iter, lambda texts: dict.fromkeys(texts).keys(),
     lambda texts: dict(enumerate(texts)).values(), lambda texts: (text for text in texts)],
    ids=["tuple", "array", "array of objects", "iterator", "keys", "values", "generator"],
)  # fmt: skip
def test_all_that_gives_texts_one_after_the_other_is_encoded(
    encoder: TextEncoder, make: Callable[[list[str]], Any]
) -> None:
    np.testing.assert_array_equal(encoder.encode(make(TEXTS)), encoder.encode(TEXTS))


def test_a_string_of_numpy_is_one_text(encoder: TextEncoder) -> None:
    found = encoder.encode(np.array(TEXTS)[0])
    assert found.shape == (16,)
    np.testing.assert_array_equal(found, encoder.encode(TEXTS[0]))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (None, "Received: NoneType. Make a list"),
        (3, "Received: int. Make a list"),
        (b"the cat", "Received: bytes. Decode them first"),
        (bytearray(b"the cat"), "Received: bytearray. Decode them first"),
        (set(TEXTS), "must be a string or a list of strings. Received: set. Make a list"),
        (frozenset(TEXTS), "Received: frozenset. Make a list"),
        ({"text": "the cat"}, "Received: dict. Make a list"),
        (np.array("the cat"), "Received: ndarray. Make a list"),
        (["the cat", 3], "Each text must be a string. Received: 3 of type int at position 1"),
        (["the cat", None], "Received: None of type NoneType at position 1"),
        ([b"the cat"], "Received: b'the cat' of type bytes at position 0"),
        ([float("nan")], "Received: nan of type float at position 0"),
        (np.array([TEXTS]), "of type ndarray at position 0"),
        ([TEXTS], "of type list at position 0"),
    ],
    ids=[str(number) for number in range(14)],  # a set prints differently in every process
)
def test_what_is_no_list_of_texts_is_one_clear_error(encoder: TextEncoder, texts: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encoder.encode(texts)


def test_no_texts_have_no_vectors(encoder: TextEncoder) -> None:
    for texts in ([], (), np.array([], dtype=str), iter(())):
        found = encoder.encode(texts)
        assert (found.shape, found.dtype) == ((0, 16), np.float32)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("the \0cat", "the cat"),  # BERT drops control characters
        ("the cat\ud800", "the cat\ufffd"),
        ("\udc00the cat", "\ufffdthe cat"),
        ("the \ud83d\ude00 cat", "the \U0001f600 cat"),  # halves of one character
        ("\0", ""),
    ],
)
def test_characters_that_are_none_do_not_stop_the_others(encoder: TextEncoder, text: str, same: str) -> None:
    np.testing.assert_array_equal(encoder.encode(text), encoder.encode(same))
    np.testing.assert_array_equal(encoder.encode([text, "a"]), encoder.encode([same, "a"]))


def test_a_million_characters_are_cut_off(encoder: TextEncoder) -> None:
    whole = "the cat " * 125_000
    np.testing.assert_array_equal(encoder.encode(whole), encoder.encode(whole[:400]))
    assert encoder.tokenizer.count_tokens([whole]) == [250_000]


@pytest.mark.parametrize("name", ["nothing", 3, ["query"]])
def test_a_prompts_name_that_is_none_is_named(encoder: TextEncoder, name: Any) -> None:
    with pytest.raises(InputError, match="`prompt_name` must be one of"):
        encoder.encode("the cat", prompt_name=name)
