"""Tokens written in texts are found in a graph where Hugging Face's tokenizers find them."""

import random

import numpy as np
import pytest
import tensorflow as tf
from tokenizers import AddedToken as HuggingFaceToken
from tokenizers import Tokenizer, models, normalizers

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.added_tokens import AddedToken, Parts, TokenFinder, make_literals_pattern

TOKENS = [
    AddedToken("<s>", 1),
    AddedToken("<s>x", 2),
    AddedToken("<mask>", 3, lstrip=True),
    AddedToken("[END]", 4, rstrip=True),
    AddedToken("both", 5, lstrip=True, rstrip=True, single_word=True),
    AddedToken("word", 6, single_word=True),
    AddedToken("wo", 7, single_word=True),
    AddedToken("\\0|(", 8),
]
ALPHABET = [*(token.text for token in TOKENS), " ", " ", "\n", "\u3000", "a", "_", "é", ".", "wor", "<", "\x00"]


def find(finder: TokenFinder, texts: list[str]) -> list[list[str | int]]:
    """The parts of each text: texts that are not empty, and ids."""
    parts = finder.split(tf.constant(texts))
    flat = [
        token_id if token_id >= 0 else text.decode()
        for text, token_id in zip(parts.texts.numpy(), parts.token_ids.numpy().tolist(), strict=True)
    ]
    rows = [flat[start:end] for start, end in np.stack([parts.row_splits[:-1], parts.row_splits[1:]], 1)]
    return [[part for part in row if part != ""] for row in rows]


def find_by_hugging_face(tokens: list[AddedToken], texts: list[str]) -> list[list[str | int]]:
    """The same by `tokenizers`: what is no token is one piece of a Unigram that has every text."""
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    for token in tokens:
        made = HuggingFaceToken(token.text, **{flag: getattr(token, flag) for flag in flags})
        tokenizer.add_tokens([made])
    ids = {tokenizer.token_to_id(token.text): token.token_id for token in tokens}
    rows: list[list[str | int]] = []
    for text in texts:
        encoding = tokenizer.encode(text)
        pairs = zip(encoding.ids, encoding.offsets, strict=True)
        rows.append([ids[number] if number else text[start:end] for number, (start, end) in pairs if start < end])
    return rows


def test_tokens_at_one_place_with_white_space_and_words_beside_them() -> None:
    finder = TokenFinder(TOKENS)
    assert find(finder, ["a<s>xb<s>", " a  <mask> b", "[END]  a [END]", "word words my-word word", "", "<mask>"]) == [
        ["a", 2, "b", 1],
        [" a", 3, " b"],
        [4, "a ", 4],
        [6, " words my-", 6, " ", 6],
        [],
        [3],
    ]


def test_texts_are_cut_where_hugging_face_cuts_them() -> None:
    generator = random.Random(0)
    texts = ["".join(generator.choices(ALPHABET, k=generator.randrange(9))) for _ in range(3000)]
    assert find(TokenFinder(TOKENS), texts) == find_by_hugging_face(TOKENS, texts)


def test_tokens_are_looked_for_by_their_normalized_text() -> None:
    finder = TokenFinder([AddedToken("Foo", 1, normalized=True)], normalizers.Lowercase().normalize_str)
    assert find(finder, ["a foo", "Foo"]) == [["a ", 1], ["Foo"]]


def test_tokens_that_are_ignored_hide_those_inside_them() -> None:
    finder = TokenFinder([AddedToken("<s>x", 1, ignored=True), AddedToken("<s>", 2), AddedToken("x", 3)])
    assert find(finder, ["<s>x<s>ax"]) == [["<s>x", 2, "a", 3]]


def test_a_batch_without_tokens_is_known_at_once() -> None:
    finder = TokenFinder(TOKENS)
    assert not bool(finder.contains(tf.constant(["a", "<s", ""])))
    assert bool(finder.contains(tf.constant(["a", "\n<s>\x00"])))
    whole = Parts.whole(tf.constant(["a", ""]))
    assert (whole.token_ids.numpy().tolist(), whole.row_splits.numpy().tolist()) == ([-1, -1], [0, 1, 2])


def test_thousands_of_tokens_share_their_beginnings() -> None:
    assert make_literals_pattern(["ab", "abc", "b"]) == "(?:ab(?:c)?|b)"
    tokens = [AddedToken(f"<unused{number}>", number) for number in range(6000)]
    assert find(TokenFinder(tokens), ["<unused5999>x<unused1><unused12"]) == [[5999, "x", 1, "<unused12"]]


def test_a_token_without_text_is_refused() -> None:
    with pytest.raises(InputError, match="must have a text"):
        AddedToken("", 1)
