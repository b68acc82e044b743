"""Patterns of `Split` as RE2's, beside the pre-tokenizers of `tokenizers`."""

import random

import pytest
import tensorflow as tf
from tokenizers import Regex, pre_tokenizers

from tests.models.tokenizers.bpe_tokenizers import LLAMA, QWEN
from tfchain.core.errors import InputError
from tfchain.models.tokenizers.graph_pre_tokenizer import GPT2, make_graph_pre_tokenizer
from tfchain.models.tokenizers.split_pattern import translate

O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ALPHABET = [
    *(" ", " ", "  ", "\t", "\n", "\r", "\u3000", "\x85", "\u2028", "a", "B", "é", "e\u0301", "你", "\u01c5", "\u02b0"),
    *(
        "1",
        "23",
        "\u0663",
        "\u00bd",
        "'",
        "'s",
        "'LL",
        "'\u017f",
        "'\u212a",
        "/",
        "!",
        "...",
        "\x00",
        "\U0010ffff",
        "\u200d",
    ),
]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    generator = random.Random(0)
    return ["".join(generator.choices(ALPHABET, k=generator.randrange(12))) for _ in range(3000)]


@pytest.mark.parametrize("pattern", [GPT2, QWEN, LLAMA, O200K], ids=["gpt2", "qwen", "llama", "o200k"])
def test_texts_are_cut_where_tokenizers_cuts_them(pattern: str, texts: list[str]) -> None:
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    expected = [[word for word, _ in split.pre_tokenize_str(text)] for text in texts]
    spec = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    cut = make_graph_pre_tokenizer(spec, boundary=b"\xff")
    assert cut is not None
    found = cut(tf.constant(texts), tf.ones([len(texts)], tf.bool)).numpy()
    assert [[word.decode() for word in text.split(b"\xff") if word] for text in found] == expected
    assert translate(pattern).covers


def test_a_pattern_that_leaves_characters_out_covers_not_everything() -> None:
    assert not translate(r"\p{L}+|\p{N}").covers
    assert translate(r"[\s\S]").covers


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            r"a(?=b)",
            r"(?<!a)b",
            r"\s+(?!\S)",
            r"\s+(?!\S)|x|\s+",
            r"a++",
            r"a+?",
            r"\bword",
            r"(a)\1",
            r"^a",
            r"[a",
            r"(a",
        ),
        *("a)", r"\p{L", r"*a", "a{2"),
    ],
)
def test_what_re2_cannot_do_is_refused_with_the_pattern(pattern: str) -> None:
    with pytest.raises(InputError, match="pattern cannot be put into a graph. Expected: what RE2 can express"):
        translate(pattern)
