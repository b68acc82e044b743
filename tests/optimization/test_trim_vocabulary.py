"""Trimmed vocabularies: the same vectors from a smaller table, in the kinds of tokenizers that models have."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.parity import small_tokenizers
from tests.parity.texts import SMALL_MODEL_TEXTS
from tests.tiny_model import save_tiny_model
from tfchain import TrimVocabulary, compress
from tfchain.core.errors import InputError
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.hugging_face import load_tokenizer
from tfchain.optimization.trim_vocabulary import trim_vocabulary

TEXTS = ["the cat sleeps", "A dog runs on Monday!", "who does 你好"]
OTHER = ["stocks fell: what 42"]
KINDS = [
    ("bert_tokenizer", "bert"),
    ("mpnet_tokenizer", "mpnet"),
    ("roberta_tokenizer", "roberta"),
    ("xlm_roberta_tokenizer", "xlm-roberta"),
]


def make_text_encoder(tokenizer: Any, architecture: Any, *, prompts: dict[str, str] | None = None) -> TextEncoder:
    padding = tokenizer.pad_token_id
    keras.utils.set_random_seed(1)
    shape = TransformerConfig(
        architecture=architecture,
        vocabulary_size=len(tokenizer) + 3,  # as in models whose table is padded
        hidden_dim=8,
        num_layers=1,
        num_heads=2,
        intermediate_dim=8,
        max_positions=64,
        num_token_types=1 if architecture != "mpnet" else 0,
        position_offset=padding + 1 if architecture != "bert" else 0,
        relative_attention_buckets=32 if architecture == "mpnet" else 0,
        pad_token_id=padding,
    )
    encoder = Encoder(EncoderConfig(transformer=shape, normalize=True))
    return TextEncoder(tokenizer, encoder, engine="tensorflow", prompts=prompts)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    folder = tmp_path_factory.mktemp("trim") / "bert"
    save_tiny_model(folder, seed=3, num_layers=1)
    return TextEncoder.from_pretrained(folder, engine="tensorflow")


@pytest.mark.parametrize(("make", "architecture"), KINDS)
def test_vectors_of_the_texts_stay_exactly_equal_in_a_folder_too(make: str, architecture: str, tmp_path: Path) -> None:
    before = make_text_encoder(
        getattr(small_tokenizers, make)(48), architecture, prompts={"query": "query: ", "document": "text: "}
    )
    texts = list(SMALL_MODEL_TEXTS)
    trimmed = trim_vocabulary(before, TrimVocabulary(), texts)
    assert trimmed.config is not None
    assert before.config is not None
    assert trimmed.config.transformer.vocabulary_size == len(trimmed.tokenizer.source)
    assert trimmed.config.transformer.vocabulary_size < before.config.transformer.vocabulary_size - 3
    assert trimmed.tokenizer.pad_token_id == before.tokenizer.pad_token_id
    for encode in ("encode", "encode_query", "encode_document"):
        np.testing.assert_array_equal(getattr(trimmed, encode)(texts), getattr(before, encode)(texts))

    trimmed.save(tmp_path, portable=True)
    assert json.loads((tmp_path / "config.json").read_text())["vocab_size"] == len(trimmed.tokenizer.source)
    read = load_tokenizer(tmp_path)  # by transformers
    assert read.get_vocab() == trimmed.tokenizer.source.get_vocab()
    assert read(texts, truncation=True)["input_ids"] == trimmed.tokenizer(texts)


@pytest.mark.torch
@pytest.mark.parametrize(("make", "architecture"), KINDS)
def test_sentence_transformers_reads_the_folder_and_gives_the_same_vectors(
    make: str, architecture: str, tmp_path: Path
) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs PyTorch (`make test-torch`)")
    before = make_text_encoder(getattr(small_tokenizers, make)(48), architecture)
    trimmed = trim_vocabulary(before, TrimVocabulary(), list(SMALL_MODEL_TEXTS))
    trimmed.save(tmp_path, portable=True)

    theirs = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu")

    texts = [*SMALL_MODEL_TEXTS, *OTHER]
    np.testing.assert_allclose(theirs.encode(texts), trimmed.encode(texts), atol=1e-5)


def test_what_the_texts_do_not_use_is_gone_but_for_single_characters(tiny: TextEncoder) -> None:
    trimmed = trim_vocabulary(tiny, TrimVocabulary(), TEXTS)
    vocabulary = trimmed.tokenizer.source.get_vocab()
    assert {"[PAD]", "[MASK]", "cat", "##s", "你", "##z", "智"} <= set(vocabulary)  # the texts are Latin and Han
    assert not {"stock", "fell", "what"} & set(vocabulary)
    assert trimmed.tokenizer.source.unk_token_id not in trimmed.tokenizer(OTHER)[0]
    latin = trim_vocabulary(tiny, TrimVocabulary(), TEXTS[:2])
    assert "你" not in latin.tokenizer.source.get_vocab()


def test_scripts_keep_all_their_tokens(tiny: TextEncoder) -> None:
    latin = trim_vocabulary(tiny, TrimVocabulary(("Latin",)))
    vocabulary = latin.tokenizer.source.get_vocab()
    assert {"stock", "7", "##!"} <= set(vocabulary)
    assert not set("你好我是一个智能助手") & set(vocabulary)
    np.testing.assert_array_equal(latin.encode([*TEXTS[:2], *OTHER]), tiny.encode([*TEXTS[:2], *OTHER]))
    both = trim_vocabulary(tiny, TrimVocabulary(("Latin",)), ["你好"])
    assert {"stock", "你", "好"} <= set(both.tokenizer.source.get_vocab())
    assert "智" not in both.tokenizer.source.get_vocab()


def test_the_given_model_is_unchanged_and_the_report_counts_the_smaller_file(tiny: TextEncoder) -> None:
    before = tiny.fingerprint
    made = compress(tiny, [TrimVocabulary()], texts=TEXTS)
    assert tiny.fingerprint == before != made.text_encoder.fingerprint
    assert made.report.name == "trim"
    assert TrimVocabulary(("Latin", "Han")).label == "trim(Latin, Han)"


def test_what_cannot_be_trimmed_is_one_clear_error(tiny: TextEncoder) -> None:
    with pytest.raises(InputError, match="Received: neither. Give `texts`: the corpus, and questions"):
        trim_vocabulary(tiny, TrimVocabulary())
    with pytest.raises(InputError, match="no token in the script Latn. Its scripts, .*: Latin 70, Han 20."):
        trim_vocabulary(tiny, TrimVocabulary(("Latn",)))
    with pytest.raises(InputError, match="a list of names of Unicode's scripts, such as .* Received: scripts='Latin'"):
        TrimVocabulary("Latin")  # type: ignore[arg-type]
