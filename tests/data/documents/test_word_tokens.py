"""Tests of token ids from remembered words: those of the tokenizer, for any text."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer

from tfchain.core.errors import InputError
from tfchain.core.texts import replace_surrogates
from tfchain.data.documents import word_tokens
from tfchain.data.documents.word_tokens import WordTokens
from tfchain.data.streams.load_tokenize import load_tokenize

LETTERS = "ab cde\t\n\r \x1c\x00\x85\u2028\u3000\xa0é中文ΣσςİıßﬁÀ́ 👍🏽,.[SEP]'#\ud800\u200d%ꓥ"


def to_lists(ids: Iterable[Sequence[int]]) -> list[list[int]]:
    return list(map(list, ids))


@pytest.fixture(scope="module")
def tokenizer(minilm_path: Path) -> Any:
    loaded = Tokenizer.from_file(str(minilm_path / "tokenizer.json"))
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


@pytest.fixture(scope="module")
def texts() -> list[str]:
    rng = random.Random(0)
    drawn = ["".join(rng.choice(LETTERS) for _ in range(rng.randrange(25))) for _ in range(3000)]
    return ["", " ", "[SEP] a", "a" * 150, "the cat's e-mail\nsat", *drawn]


def test_ids_and_counts_are_the_tokenizer_s(tokenizer: Any, texts: list[str]) -> None:
    words = WordTokens.make(tokenizer)
    assert words is not None
    sound = [replace_surrogates(text) for text in texts]
    expected = [encoding.ids for encoding in tokenizer.encode_batch_fast(sound, add_special_tokens=False)]
    for _ in range(2):  # the second time all are known
        assert to_lists(words(texts)) == expected
        assert words.count(texts) == [len(ids) for ids in expected]
    assert (words([]), words.count([])) == ([], [])


def test_a_full_memory_is_emptied(tokenizer: Any, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = to_lists(WordTokens.make(tokenizer)(texts))  # type: ignore[misc]
    monkeypatch.setattr(word_tokens, "MOST_WORDS", 50)
    words = WordTokens.make(tokenizer)
    assert words is not None
    assert [list(words([text])[0]) for text in texts] == expected
    assert len(words._memory) <= 51


@pytest.mark.parametrize(
    ("content", "text", "is_refused"),
    [
        ("cafe\u0301", "a cafe, now", True),  # added tokens are sought in the normalized text, where this is a word
        ("co\xadop", "coop", True),
        ("[a]\u0301", "say [a] or [a]s", False),
    ],
)
def test_an_added_token_that_normalizes_to_a_plain_word(
    tokenizer: Any, content: str, text: str, is_refused: bool
) -> None:
    made = Tokenizer.from_str(tokenizer.to_str())
    made.add_tokens([AddedToken(content, normalized=True)])
    words = WordTokens.make(made)
    assert (words is None) == is_refused
    if words is not None:
        assert to_lists(words([text])) == [made.encode(text, add_special_tokens=False).ids]


def test_a_tokenizer_that_looks_across_spaces_is_refused() -> None:
    from tokenizers import models, pre_tokenizers

    loaded = Tokenizer(models.BPE())
    loaded.pre_tokenizer = pre_tokenizers.ByteLevel()
    assert WordTokens.make(loaded) is None


def test_texts_are_cut_and_get_their_special_tokens(tokenizer: Any, minilm_path: Path, texts: list[str]) -> None:
    tokenize = load_tokenize(minilm_path, max_length=8)
    cut = Tokenizer.from_str(tokenizer.to_str())
    cut.enable_truncation(8)
    sound = [replace_surrogates(text) for text in texts]
    assert to_lists(tokenize(texts)) == [encoding.ids for encoding in cut.encode_batch_fast(sound)]
    with pytest.raises(InputError, match="`max_length` must be a whole number of at least 3. Received: max_length=2"):
        load_tokenize(minilm_path, max_length=2)
    with pytest.raises(InputError, match="`path` must be a tokenizer.json or a folder with one. Received: nowhere"):
        load_tokenize("nowhere", max_length=8)
