"""Charsmaps of sentencepiece: read as sentencepiece applies them, and broken ones."""

import base64

import pytest
from sentencepiece import SentencePieceNormalizer

from tests.models.tokenizers.unigram_tokenizers import make_charsmap
from tfchain.core.errors import InputError
from tfchain.models.tokenizers.charsmap import read_charsmap


def test_each_text_becomes_what_sentencepiece_makes_of_it() -> None:
    read = read_charsmap(base64.b64encode(make_charsmap("nmt_nfkc")).decode())
    normalizer = SentencePieceNormalizer(
        rule_name="nmt_nfkc", add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False
    )
    assert len(read) > 7000
    assert (read["①"], read["e\u0301"], read["\u3000"], read["\x01"]) == ("1", "é", " ", "")
    for text, to in list(read.items())[::5]:
        assert normalizer.normalize(text) == to


def test_keys_are_as_long_as_asked() -> None:
    encoded = base64.b64encode(make_charsmap("nmt_nfkc")).decode()
    assert max(len(text.encode()) for text in read_charsmap(encoded)) == 5
    assert max(len(text.encode()) for text in read_charsmap(encoded, 2)) == 2
    assert read_charsmap("") == {}


@pytest.mark.parametrize(
    "encoded", ["AAA", "é", base64.b64encode(b"\x01").decode(), base64.b64encode(b"\x08\0\0\0ab").decode()]
)
def test_a_broken_charsmap_is_named(encoded: str) -> None:
    with pytest.raises(InputError, match="`precompiled_charsmap` must be a charsmap of sentencepiece in base64"):
        read_charsmap(encoded)
