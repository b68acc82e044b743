"""Single texts tokenized out of remembered words, beside the tokenizer itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertTokenizer, PreTrainedTokenizerFast

from tests.models.tokenizers.bpe_tokenizers import make_backend, wrap
from tfchain.models.tokenizers import word_memory
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.word_memory import WordMemory

# Letters of both cases, digits, every punctuation mark, and what the memory leaves to the tokenizer.
PIECES = ["The", "cat", "sat", "TOKENIZATION", "3", "14", "can't", " ", "  ", "\t", "\x7f", "é", "猫", "[SEP]", "[sep]"]
PIECES += [chr(code) for code in range(0x20, 0x7F)]


def make_bert(shared_data: Path, name: str = "uncased", **options: Any) -> BertTokenizer:
    pieces = (shared_data / "bert_vocab" / f"bert-base-{name}-vocab.txt").read_text(encoding="utf-8").split()
    return BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, **options)


def make_tokenizer(*, model: Any = None, processor: Any = None, added: tuple[Any, ...] = ()) -> PreTrainedTokenizerFast:
    """One of four words."""
    vocabulary = {word: number for number, word in enumerate(["[UNK]", "[PAD]", "<s>", "</s>", "a", "b", "##a", "##b"])}
    made = Tokenizer(model or models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if processor is not None:
        made.post_processor = processor
    made.add_tokens(list(added))
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]")


def expect(tokenizer: HostTokenizer, text: str) -> list[int]:
    return list(tokenizer._fast.encode_batch_fast([text])[0].ids)


@pytest.mark.parametrize(("name", "lowercase"), [("uncased", True), ("uncased", False), ("chinese", True)])
def test_real_texts_have_the_tokenizers_ids(name: str, lowercase: bool, shared_data: Path) -> None:
    tokenizer = HostTokenizer(make_bert(shared_data, name, do_lower_case=lowercase), max_length=64)
    assert tokenizer._memory is not None
    texts = []
    for file in ("queries.jsonl", "corpus.jsonl"):
        for line in (shared_data / "scifact" / file).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts += [row["text"], row.get("title", "")]
    texts = texts[: 2 * 3000 : 2] + texts[1::3]
    encodings = tokenizer._fast.encode_batch_fast(texts)
    remembered = 0
    for text, encoding in zip(texts, encodings, strict=True):
        ids = tokenizer._memory(text)
        remembered += ids is not None
        assert tokenizer([text]) == [encoding.ids]
        assert ids is None or ids == encoding.ids
    assert remembered > 3000


@pytest.fixture(scope="module")
def uncased(shared_data: Path) -> HostTokenizer:
    made = HostTokenizer(make_bert(shared_data), max_length=12)
    assert made._memory is not None
    return made


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_random_texts_have_the_tokenizers_ids(uncased: HostTokenizer, text: str) -> None:
    assert uncased([text]) == [expect(uncased, text)]


@pytest.mark.parametrize(
    "text", ["a café", "猫", "a\tb", "a\nb", "end \x7f", "first [SEP] second", "\ud800", "a" * 1001]
)
def test_what_is_long_or_no_plain_ascii_is_left_to_the_tokenizer(uncased: HostTokenizer, text: str) -> None:
    assert uncased._memory is not None
    assert uncased._memory(text) is None


@pytest.mark.parametrize("text", ["", " ", "a", "word " * 200, "x" * 999, "unbelievable" * 9, "a-b" * 40])
@pytest.mark.parametrize("max_length", [3, 7, 64])
def test_a_text_is_cut_where_the_tokenizer_cuts_it(shared_data: Path, text: str, max_length: int) -> None:
    tokenizer = HostTokenizer(make_bert(shared_data), max_length=max_length)
    assert tokenizer._memory is not None
    for _ in range(2):  # with words met for the first time, and known ones
        assert tokenizer._memory(text) == expect(tokenizer, text)


def test_words_are_forgotten_when_there_are_too_many(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_memory, "MOST_WORDS", 5)
    tokenizer = HostTokenizer(make_bert(shared_data), max_length=64)
    memory = tokenizer._memory
    assert memory is not None
    for text in ("one two three four", "two three five six seven", "a" * 33 + " one two"):
        assert memory(text) == expect(tokenizer, text)
        assert len(memory._ids) <= 5
    assert "a" * 33 not in memory._ids


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (None, [4, 7]),
        (processors.BertProcessing(("</s>", 3), ("<s>", 2)), [2, 4, 7, 3]),
        (processors.TemplateProcessing(single="<s> <s> $A", special_tokens=[("<s>", 2)]), [2, 2, 4, 7]),
        (processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 3)]), [4, 7, 3]),
    ],
)
def test_special_tokens_are_put_around_it(processor: Any, expected: list[int]) -> None:
    tokenizer = HostTokenizer(make_tokenizer(processor=processor), max_length=8)
    assert tokenizer._memory is not None
    assert tokenizer(["ab"]) == [expected] == [expect(tokenizer, "ab")]


@pytest.mark.parametrize(
    "options",
    [
        {"added": ("ab",)},  # could be any word
        {"added": (AddedToken("ÄB", normalized=True),)},  # is looked for as "ab"
        {"processor": processors.TemplateProcessing(single="$A $A", special_tokens=[])},
        {"model": models.WordLevel({"[UNK]": 0, "[PAD]": 1, "a": 2, "b": 3}, unk_token="[UNK]")},
    ],
)
def test_other_tokenizers_have_no_memory(options: dict[str, Any]) -> None:
    tokenizer = HostTokenizer(make_tokenizer(**options), max_length=8)
    assert tokenizer._memory is None
    assert tokenizer(["a b"]) == [expect(tokenizer, "a b")]


@pytest.mark.parametrize("kind", ["roberta", "gemma"])
def test_bpe_tokenizers_have_no_memory(kind: str) -> None:
    """Their words begin with the space before them, so that a word's ids depend on it."""
    tokenizer = HostTokenizer(wrap(make_backend(kind)), max_length=8)
    assert tokenizer._memory is None
    assert tokenizer(["you are"]) == tokenizer(["you are", "a"])[:1]


def test_an_added_token_with_a_punctuation_mark_is_found(shared_data: Path) -> None:
    tokenizer = make_bert(shared_data)
    tokenizer.add_tokens(["c++", AddedToken("#Tag", normalized=True)])
    host = HostTokenizer(tokenizer, max_length=16)
    assert host._memory is not None
    for text in ("learn c++ today", "learn C++ today", "see #tag", "see #TAG here", "a plain text"):
        assert host([text]) == [expect(host, text)]
    assert tokenizer.convert_tokens_to_ids("c++") in host(["learn c++ today"])[0]


def test_a_tokenizer_without_a_token_for_unknown_words_has_no_memory() -> None:
    model = models.WordPiece({"[PAD]": 0, "hello": 1, "world": 2}, unk_token="[UNK]")
    made = Tokenizer(model)
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer = HostTokenizer(PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]"), max_length=8)
    assert tokenizer._memory is None
    assert tokenizer(["hello world"]) == [[1, 2]]


def test_a_length_that_special_tokens_fill_needs_no_memory(shared_data: Path) -> None:
    assert WordMemory.make(make_bert(shared_data).backend_tokenizer, 2) is None
