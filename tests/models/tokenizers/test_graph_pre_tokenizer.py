"""Pre-tokenizers in a graph beside those of `tokenizers`."""

import json
from typing import Any

import pytest
import tensorflow as tf
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from tfchain.core.errors import InputError
from tfchain.models.tokenizers.graph_pre_tokenizer import BOUNDARY, make_graph_pre_tokenizer

TEXTS = [
    "",
    " ",
    "a b",
    "  two  spaces ",
    "don't stop",
    "▁a ▁▁b",
    "x\u3000y\n z",
    "12a34½",
    "¿qué? …ok",
    "\x00a\x85b",
    " \u2028 ",
]
ALIKE = {
    "white space": pre_tokenizers.WhitespaceSplit(),
    "metaspace": pre_tokenizers.Metaspace(),
    "metaspace after white space": pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    ),
    "metaspace first": pre_tokenizers.Metaspace(prepend_scheme="first"),
    "metaspace never": pre_tokenizers.Metaspace(prepend_scheme="never"),
    "metaspace whole": pre_tokenizers.Metaspace(split=False),
    "another mark": pre_tokenizers.Metaspace(replacement="x"),
    "digits": pre_tokenizers.Digits(individual_digits=True),
    "numbers": pre_tokenizers.Digits(individual_digits=False),
    "punctuation": pre_tokenizers.Punctuation("merged_with_previous"),
    "removed": pre_tokenizers.Split(" ", "removed"),
    "isolated": pre_tokenizers.Split(" ", "isolated"),
    "with the next": pre_tokenizers.Split(" ", "merged_with_next"),
    "with the previous": pre_tokenizers.Split(Regex(r"[\s,]"), "merged_with_previous"),
    "inverted": pre_tokenizers.Split(Regex(r"\p{L}+|[^\p{L}]+"), "removed", invert=True),
    "up to two": pre_tokenizers.Split(Regex(r"a{,2}\d{1,2}"), "isolated"),
    "gaps": pre_tokenizers.Split(Regex(r"\p{L}+"), "isolated"),
}


def read_spec(pre_tokenizer: Any) -> dict[str, Any]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    spec: dict[str, Any] = json.loads(tokenizer.to_str())["pre_tokenizer"]
    return spec


@pytest.mark.parametrize("name", ALIKE)
def test_texts_are_cut_where_tokenizers_cuts_them(name: str) -> None:
    cut = make_graph_pre_tokenizer(read_spec(ALIKE[name]))
    assert cut is not None
    found = cut(tf.constant(TEXTS), tf.ones([len(TEXTS)], tf.bool)).numpy()
    words = [[word.decode() for word in text.split(BOUNDARY) if word] for text in found]
    assert words == [[word for word, _ in ALIKE[name].pre_tokenize_str(text)] for text in TEXTS]


def test_only_the_first_part_of_a_text_gets_the_mark_of_a_space() -> None:
    cut = make_graph_pre_tokenizer(read_spec(pre_tokenizers.Metaspace(prepend_scheme="first", split=False)))
    assert cut is not None
    assert cut(tf.constant(["a b", "a b"]), tf.constant([True, False])).numpy().tolist() == [
        *["▁a▁b".encode(), "a▁b".encode()]
    ]


def test_byte_level_adds_a_space_to_texts_that_begin_with_another_character() -> None:
    cut = make_graph_pre_tokenizer(read_spec(pre_tokenizers.ByteLevel(add_prefix_space=True)), boundary=b"|")
    assert cut is not None
    found = cut(tf.constant(["a", " a", "", "\na  b"]), tf.ones([4], tf.bool)).numpy()
    assert found.tolist() == [b" a|", b" a|", b"", b" |\n|a| | b|"]


def test_words_need_not_end_before_a_mark_that_no_piece_has_inside() -> None:
    spec = read_spec(pre_tokenizers.Metaspace())
    cut = make_graph_pre_tokenizer(spec, splits_metaspace=False)
    assert cut is not None
    assert cut(tf.constant(["a b"]), tf.constant([True])).numpy()[0].decode() == "▁a▁b"


def test_none_is_none() -> None:
    assert make_graph_pre_tokenizer(None) is None
    assert (
        make_graph_pre_tokenizer(read_spec(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))) is None
    )


REFUSED = {
    "patterns that RE2 takes": pre_tokenizers.Split(Regex(r"a{1,2000}"), "isolated"),
    "UnicodeScripts": pre_tokenizers.UnicodeScripts(),
    "Contiguous": pre_tokenizers.Split(" ", "contiguous"),
    "not inverted": pre_tokenizers.Split(Regex(r"\p{L}+"), "removed", invert=True),
    "Metaspace that is first": pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")]
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_a_graph_cannot_express_is_named(message: str) -> None:
    with pytest.raises(InputError, match=f"pre-tokenizer cannot be put into a graph. .*{message}"):
        make_graph_pre_tokenizer(read_spec(REFUSED[message]))
