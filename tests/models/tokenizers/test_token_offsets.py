"""Where a graph says that tokens are in a text: what the package `tokenizers` calls offsets."""

import random
import string

import pytest
import tensorflow as tf
from transformers import BertTokenizer

from tfchain.models.tokenizers.wordpiece import WordPieceTokenizer

TEXTS = [
    "",
    "   ",
    "the cat's naïve café, ΑΙΓΑ!",
    "e\u0301te\u0301 ca\u0301t\u0301 a\u0301",
    "你好，我是一个智能助手。the cat",
    "a 👍🏽 cat\u200b and\u00a0dogs\tsleep\n",
    "[SEP] the [MASK][CLS] cat [UNK]",
    "İstanbul ŉ ﬁ ½ ﷺ cats",
    "x" * 120 + " cat",
    "con\x00trol\tcharacters",
]


def make_tokenizer(*, lower: bool) -> BertTokenizer:
    letters = [*string.ascii_lowercase, *string.ascii_uppercase, *string.digits, *string.punctuation, *"你好我是一个é"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sleep", "na", "##ive"]
    tokens = dict.fromkeys([*words, *letters, *(f"##{letter}" for letter in letters)])
    return BertTokenizer(vocab={token: number for number, token in enumerate(tokens)}, do_lower_case=lower)


@pytest.mark.parametrize("lower", [True, False])
def test_offsets_are_those_of_tokenizers(lower: bool) -> None:
    """With accents in one character and in two, Chinese, emoji, special tokens written out, and unknown words."""
    host = make_tokenizer(lower=lower)
    graph = WordPieceTokenizer.from_hugging_face(host)
    drawn = random.Random(0)
    pool = [*"abcst ,.é\u0301ÄŒß你好👍🏽\u200d\x01[]", "[SEP]", "cats", "ＡＢ①", "\u00a0", "Å"]
    texts = [*TEXTS, *("".join(drawn.choices(pool, k=30)) for _ in range(60))]
    assert graph.has_offsets
    found = graph.tokenize_with_offsets(tf.constant(texts))
    expected = host.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
    starts, ends, ids = (part.to_list() for part in (found.starts, found.ends, found.ids))
    for text, one, *made in zip(texts, expected, ids, starts, ends, strict=True):
        assert made[0] == one.ids, text
        offsets = list(zip(made[1], made[2], strict=True))
        assert offsets == one.offsets, (text, one.tokens)


def test_tokens_of_a_word_have_its_number() -> None:
    graph = WordPieceTokenizer.from_hugging_face(make_tokenizer(lower=True))
    (words,) = graph.tokenize_with_offsets(tf.constant(["the cats, a"])).words.to_list()
    first = words[0]
    assert [number - first for number in words] == [0, 2, 2, 3, 5]  # white space is a word, too
