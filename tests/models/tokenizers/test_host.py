"""The tokenizer on the host: what it pads with, how it truncates, and what it refuses."""

import pytest
from transformers import BertTokenizer

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.host import HostTokenizer

TOKENS = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "the", "cat", "sleeps")


def make_tokenizer() -> BertTokenizer:
    return BertTokenizer(vocab={token: number for number, token in enumerate(TOKENS)})


def test_a_given_pad_id_comes_before_the_tokenizers_own_and_zero_is_one() -> None:
    tokenizer = make_tokenizer()
    assert HostTokenizer(tokenizer, max_length=8).pad_token_id == 3
    assert HostTokenizer(tokenizer, max_length=8, pad_token_id=0).pad_token_id == 0
    assert HostTokenizer(tokenizer, max_length=8, pad_token_id=4).pad_token_id == 4
    tokenizer.pad_token = None
    assert HostTokenizer(tokenizer, max_length=8).pad_token_id == 0


def test_long_texts_lose_their_end_and_special_tokens_stay() -> None:
    made = HostTokenizer(make_tokenizer(), max_length=4)
    assert made(["the cat sleeps", "cat", ""]) == [[1, 5, 6, 2], [1, 6, 2], [1, 2]]
    assert made.num_special_tokens == 2


def test_what_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(InputError, match="`tokenizer` must be a transformers tokenizer. Received: str"):
        HostTokenizer("bert-base-uncased", max_length=8)
