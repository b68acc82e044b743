"""The estimate of tokens, and how near it is to a tokenizer."""

import json
from pathlib import Path

import pytest

from tfchain.deployment.server.batching.token_estimate import estimate_longest, estimate_tokens

TOKENIZER = Path(__file__).parents[4] / "saved_models" / "small-english" / "tokenizer.json"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 2),
        ("a" * 44, 12),
        ("你好，世界", 7),  # one a character
        ("你好 hello world", 7),  # two and twelve characters
        ("é", 3),
        ("😀", 3),
    ],
)
def test_ascii_is_counted_by_length_and_the_rest_by_character(text: str, tokens: int) -> None:
    assert estimate_tokens(text.encode()) == tokens


def test_bytes_that_are_not_utf8_are_counted_too() -> None:
    assert estimate_tokens(b"\xff\xfe\x80") == 4


def test_a_text_is_not_longer_than_the_model_reads() -> None:
    assert estimate_tokens(b"word " * 10_000) == 512
    assert estimate_tokens(b"word " * 10_000, 128) == 128


def test_the_longest_text_counts() -> None:
    assert estimate_longest([b"a", b"a" * 88, b""]) == 22
    assert estimate_longest([]) == 0


def test_the_estimate_is_near_the_tokenizer_of_the_model_that_comes_with_tfchain() -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = [
        "how do I merge two sorted lists",
        "What is the capital of the country that hosted the games in 1996?",
        "The server loads new versions while it runs, and unloads old ones after the requests in flight. " * 3,
    ]
    for text in texts:
        exact = len(tokenizer.encode(text).ids)
        assert 0.7 * exact <= estimate_tokens(text.encode()) <= 1.4 * exact, text
    assert json.loads(TOKENIZER.read_text(encoding="utf-8"))["model"]["type"] == "WordPiece"
