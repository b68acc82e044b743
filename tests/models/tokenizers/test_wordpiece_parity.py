"""The WordPiece graph beside the Hugging Face tokenizer: real texts, every code point, random Unicode."""

import csv
import gzip
import io
import json
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertTokenizer, PreTrainedTokenizerFast

from tfchain.models.tokenizers.wordpiece import WordPieceTokenizer

NOT_TEXTS = ("ratings.csv", "links.csv")
CODE_POINTS = [code_point for code_point in range(0x110000) if not 0xD800 <= code_point < 0xE000]


class Pair:
    """A Hugging Face tokenizer and its graph."""

    def __init__(self, hugging_face: Any) -> None:
        self.hugging_face = hugging_face
        self.graph = WordPieceTokenizer.from_hugging_face(hugging_face)
        self._tokenize = tf.function(self.graph.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])

    def find_difference(self, texts: Sequence[str]) -> str | None:
        """The first text whose ids differ, with both ids."""
        backend = self.hugging_face.backend_tokenizer
        expected = [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
        ragged = self._tokenize(tf.constant(texts, tf.string))
        same_lengths = ragged.row_lengths().numpy().tolist() == list(map(len, expected))
        if same_lengths and np.array_equal(ragged.values, [token_id for ids in expected for token_id in ids]):
            return None
        pairs = zip(texts, expected, ragged.to_list(), strict=True)
        return next(f"{text!r}: expected {one}, received {other}" for text, one, other in pairs if one != other)


def make_bert(vocabulary: Path, **options: bool) -> Pair:
    pieces = vocabulary.read_text(encoding="utf-8").rstrip("\n").split("\n")
    return Pair(BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, **options))


@pytest.fixture(scope="module")
def real_texts(shared_data: Path) -> list[str]:
    """Every different text of the data sets, the short ones first."""
    texts = {text for path in shared_data.rglob("*") if path.is_file() for text in read_texts(path)}
    assert len(texts) > 250_000
    return sorted(texts, key=len)


def read_texts(path: Path) -> Iterator[str]:
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[-1]
    if kind not in ("jsonl", "json", "csv", "tsv", "txt") or path.parent.name == "qrels" or path.name in NOT_TEXTS:
        return
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    if kind == "json":
        yield from walk(json.loads(text))
    elif kind == "csv":
        yield from (field for row in csv.reader(io.StringIO(text)) for field in row)
    else:
        for line in filter(None, text.split("\n")):
            yield from walk(json.loads(line)) if kind == "jsonl" else line.split("\t")


def walk(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from walk(part)


def make_batches(texts: list[str]) -> Iterator[list[str]]:
    at = 0
    while at < len(texts):
        size = max(16, min(1024, 200_000 // max(1, len(texts[at]))))
        yield texts[at : at + size]
        at += size


@pytest.mark.parametrize(("name", "start"), [("uncased", 0), ("chinese", 1)])
def test_every_real_text_has_hugging_faces_ids(name: str, start: int, shared_data: Path, real_texts: list[str]) -> None:
    """Each vocabulary has one half of the texts, of all lengths."""
    pair = make_bert(shared_data / "bert_vocab" / f"bert-base-{name}-vocab.txt")
    for batch in make_batches(real_texts[start::2]):
        assert pair.find_difference(batch) is None


@pytest.mark.parametrize(("name", "start"), [("uncased", 0), ("chinese", 6)])
def test_real_texts_have_hugging_faces_ids_when_case_counts(
    name: str, start: int, shared_data: Path, real_texts: list[str]
) -> None:
    pair = make_bert(shared_data / "bert_vocab" / f"bert-base-{name}-vocab.txt", do_lower_case=False)
    for batch in make_batches(real_texts[start::12]):
        assert pair.find_difference(batch) is None


def test_real_batches_are_cut_and_padded_as_hugging_face_does(shared_data: Path, real_texts: list[str]) -> None:
    pair = make_bert(shared_data / "bert_vocab" / "bert-base-uncased-vocab.txt")
    for start in range(0, 2000, 100):
        batch = real_texts[start::2000]
        token_ids, mask = pair.graph(tf.constant(batch), max_length=64)
        expected = pair.hugging_face(batch, padding=True, truncation=True, max_length=64, return_tensors="np")
        np.testing.assert_array_equal(token_ids, expected["input_ids"])
        np.testing.assert_array_equal(mask, expected["attention_mask"])


@pytest.mark.parametrize(("lowercase", "code_points"), [(True, CODE_POINTS), (False, CODE_POINTS[: 3 * 0x10000])])
def test_every_code_point_alone_and_in_a_word_has_hugging_faces_ids(
    lowercase: bool, code_points: list[int], shared_data: Path
) -> None:
    pair = make_bert(shared_data / "bert_vocab" / "bert-base-uncased-vocab.txt", do_lower_case=lowercase)
    texts = [
        " ".join(f"{c} a{c}b" for c in map(chr, code_points[start : start + 64]))
        for start in range(0, len(code_points), 64)
    ]
    for start in range(0, len(texts), 1024):
        assert pair.find_difference(texts[start : start + 1024]) is None


def make_tricky(pieces: Sequence[str], **rules: bool) -> Pair:
    """A tokenizer that knows these pieces alone and within words, so that ids show what normalising made of them."""
    vocabulary = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, *(f"##{p}" for p in pieces)])
    backend = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(**rules)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    backend.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", AddedToken("[MASK]", lstrip=True)])
    return Pair(PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]"))


def test_characters_become_what_hugging_face_makes_of_them() -> None:
    pieces = [
        chr(c) for c in CODE_POINTS[0x21:0x30000] if not 0x3400 <= c < 0x9F00 and not unicodedata.combining(chr(c))
    ]
    pair = make_tricky(pieces)
    code_points = [c for c in CODE_POINTS[:0x30000] if not 0x3400 <= c < 0x9F00]
    texts = [
        " ".join(f"a{chr(c)}" for c in code_points[start : start + 64]) for start in range(0, len(code_points), 64)
    ]
    for start in range(0, len(texts), 1024):
        assert pair.find_difference(texts[start : start + 1024]) is None


TRICKY = [
    *"abéßiİςσΣǆﬁ가한你豈龜〆ー👩𝒂=≠$#。·`«0①²½",
    *"\u1100\u1161\u0301\u0307\u0338\u302e\u093f\u0e31\U00011c92\u20e3\ufe0f\u1fef\u037e\u2e43\u166d",
    *["i\u0307", "ab", "##", "a" * 60],
]
# Spacing marks of other classes than U+302E's stay out of the vocabulary: the graph refuses several.
WRITTEN = [
    *"\u200d\x00\x07\u302f\U0001d165\u1b44",
    "[SEP]",
    "[MASK]",
    "[MASK",
    "SEP]",
    "[sep]",
    "[[",
    "x-Y",
    "Bar",
    "é=",
]
WRITTEN += ["Foo", "foo", "bar", "\u0301=", *" \t\n\x0b\x85\u3000"]
STAND_INS = [chr(0x100000 + offset) for offset in range(14)]
texts_of_anything = st.lists(
    st.one_of(
        st.sampled_from([*TRICKY, *WRITTEN, *STAND_INS]),
        st.characters(exclude_categories=["Cs"]),
        st.text(max_size=9),
    ),
    max_size=14,
).map("".join)
ALL_RULES = [
    {"clean_text": clean, "handle_chinese_chars": chinese, "strip_accents": strips, "lowercase": lowers}
    for clean, chinese, strips, lowers in [
        (True, True, None, True),
        (True, True, None, False),
        (False, False, False, True),
        (False, True, True, False),
    ]
]


@pytest.fixture(scope="module")
def tricky_pairs() -> list[Pair]:
    pairs = []
    for rules in ALL_RULES:
        pairs.append(make_tricky(TRICKY, **rules))
        hugging_face = make_tricky(TRICKY, **rules).hugging_face
        hugging_face.add_tokens(["Foo", "foo b", "x-Y", "你a", AddedToken("Bar", normalized=False), "é="])
        pairs.append(Pair(hugging_face))
    return pairs


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(texts_of_anything, min_size=1, max_size=6))
def test_random_unicode_has_hugging_faces_ids(tricky_pairs: list[Pair], texts: list[str]) -> None:
    for pair in tricky_pairs:
        assert pair.find_difference(texts) is None
