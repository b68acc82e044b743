"""Queries and documents of late interaction as token ids, by hand and in a graph."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.parity.texts import SMALL_MODEL_TEXTS
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.token_encoder import load_token_encoder
from tfchain.models.tokenizers.late import LateTokenizer
from tfchain.models.tokenizers.late_graph import raise_ids
from tfchain.tasks.encoder_graph import make_graph_tokenizer

FIXTURES = Path(__file__).parents[2] / "parity" / "late_fixtures"
TEXTS = [*SMALL_MODEL_TEXTS, "", "., !", "how do I merge [MASK] lists? " * 9, "你好，我是"]


@pytest.fixture(scope="module")
def stanford() -> TextEncoder:
    return load_token_encoder(FIXTURES / "stanford", engine="tensorflow")[0]


def test_a_query_is_expanded_and_a_documents_punctuation_is_marked(stanford: TextEncoder) -> None:
    names = stanford.tokenizer.tokenizer.convert_tokens_to_ids
    rows = stanford.config.transformer.vocabulary_size
    query = stanford.query_tokenizer([stanford.query_prompt + "s."])[0]
    begin = names(["[CLS]", "[unused0]", "s", ".", "[SEP]"])
    assert query == begin + [names("[MASK]") + 2 * rows] * 11  # 16 tokens, of which no other attends to the last
    document = stanford.document_tokenizer([stanford.document_prompt + "s."])[0]
    assert document == [*names(["[CLS]", "[unused1]", "s"]), names(".") + rows, names("[SEP]")]


def test_queries_and_documents_have_lengths_of_their_own(stanford: TextEncoder) -> None:
    assert stanford.role_lengths["query_length"] == 16
    assert (len(stanford.query_tokenizer(["s " * 90])[0]), len(stanford.document_tokenizer(["s " * 90])[0])) == (16, 36)


@pytest.mark.parametrize("name", ["stanford", "pylate", "roberta", "modernbert"])
def test_a_graph_gives_the_same_ids(name: str) -> None:
    encoder = load_token_encoder(FIXTURES / name, engine="tensorflow")[0]
    graph = make_graph_tokenizer(encoder.tokenizer)
    for tokenizer, prompt in (
        (encoder.query_tokenizer, encoder.query_prompt),
        (encoder.document_tokenizer, encoder.document_prompt),
    ):
        assert isinstance(tokenizer, LateTokenizer)
        asked = [prompt + text for text in TEXTS]
        ids, mask = raise_ids(tokenizer, *graph(tf.constant(asked), tokenizer.max_length))
        rows = zip(np.asarray(ids), np.asarray(mask), strict=True)
        assert [row[kept == 1].tolist() for row, kept in rows] == tokenizer(asked)
