"""Pairs in a prompt: tokenized as one text, truncated before the prompt's end, also in a graph."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from transformers import AutoTokenizer

from tests.parity.texts import SMALL_MODEL_TEXTS
from tfchain.core.errors import InputError
from tfchain.models.tokenizers.pairs import join_pair
from tfchain.models.tokenizers.prompted_pairs import PromptedPairTokenizer
from tfchain.tasks.encoder_graph import make_graph_tokenizer

FIXTURE = Path(__file__).parents[2] / "parity" / "reranker_fixtures" / "qwen3"
PROMPT = ("<Query>: ", "\n<Document>: ", "<|endoftext|>\n<think>\n")
PAIRS = [("how? ", "so"), ("", ""), ("one  two", "three" * 30), *zip(SMALL_MODEL_TEXTS, SMALL_MODEL_TEXTS, strict=True)]


def make(side: str = "right", max_length: int = 48) -> PromptedPairTokenizer:
    source = AutoTokenizer.from_pretrained(FIXTURE, truncation_side=side)
    return PromptedPairTokenizer(source, prompt=PROMPT, max_length=max_length)


def test_a_pair_is_tokenized_as_one_text_without_special_tokens_around_it() -> None:
    tokenizer = make(max_length=1000)
    texts = [f"<Query>: {first}\n<Document>: {second}<|endoftext|>\n<think>\n" for first, second in PAIRS]
    expected = tokenizer.source(texts, add_special_tokens=False)["input_ids"]
    assert tokenizer([join_pair(*pair) for pair in PAIRS]) == expected
    assert tokenizer(["how? "]) == tokenizer([join_pair("how? ", "")])
    assert tokenizer.num_pair_tokens == len(tokenizer([join_pair("", "")])[0])


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_long_pair_ends_with_the_prompts_end(side: str) -> None:
    tokenizer, whole = make(side), make(side, 1000)
    end = tokenizer.source("<|endoftext|>\n<think>\n", add_special_tokens=False)["input_ids"]
    assert list(tokenizer.end) == end
    pair = join_pair("which?", "long text " * 50)
    ids = whole([pair])[0]
    kept = ids[-48:] if side == "left" else ids[:48]
    assert tokenizer([pair]) == [[*kept[: 48 - len(end)], *end]]


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_graph_gives_the_same_ids(side: str) -> None:
    tokenizer = make(side)
    texts = [*(join_pair(*pair) for pair in PAIRS), "a single text"]
    ids, mask = (tensor.numpy() for tensor in make_graph_tokenizer(tokenizer)(tf.constant(texts), 48))
    assert [row[kept == 1].tolist() for row, kept in zip(ids, mask, strict=True)] == tokenizer(texts)
    assert (ids[mask == 0] == tokenizer.pad_token_id).all()
    assert np.max(mask.sum(axis=1)) == 48


def test_what_a_prompt_cannot_do() -> None:
    with pytest.raises(InputError, match="`max_length` must be more than the"):
        make(max_length=3)
    for call in (lambda: make().find_ids(["a"]), lambda: make().join_ids([1], [2])):
        with pytest.raises(InputError, match="takes joined pairs only"):
            call()
