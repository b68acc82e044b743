"""Pairs of texts: the ids and token types of transformers, truncated as transformers truncates, also in a graph."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from transformers import AutoTokenizer

from tests.parity.texts import AWKWARD_TEXTS
from tfchain.models.tokenizers import pair_graph
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.pair_graph import PairGraphTokenizer
from tfchain.models.tokenizers.pairs import PAIR, PairTemplate, PairTokenizer, join_pair, share_room, split_pair
from tfchain.models.tokenizers.wordpiece import WordPieceTokenizer

FIXTURES = Path(__file__).parents[2] / "parity" / "reranker_fixtures"
TEXTS = [*(text[:400] for text in AWKWARD_TEXTS), "one two three " * 9, "a longer text than all of the others " * 7]
PAIRS = [(first, TEXTS[step * place % len(TEXTS)]) for step in (3, 5) for place, first in enumerate(TEXTS)]


@pytest.fixture(scope="module", params=["bert", "bert_labels", "roberta", "xlm_roberta"])
def source(request):
    return AutoTokenizer.from_pretrained(FIXTURES / request.param)


def test_ids_and_token_types_are_those_of_transformers(source):
    offset = len(source) if "token_type_ids" in source.model_input_names else 0
    tokenizer = PairTokenizer(source, max_length=24, type_offset=offset)
    firsts, seconds = map(list, zip(*PAIRS, strict=True))
    expected = source(firsts, seconds, truncation=True, max_length=24, return_token_type_ids=True)

    found = tokenizer([join_pair(*pair) for pair in PAIRS])

    for ids, wanted, types in zip(found, expected["input_ids"], expected["token_type_ids"], strict=True):
        raised = [number + offset * kind for number, kind in zip(wanted, types, strict=True)]
        assert ids == raised


def test_a_text_alone_is_tokenized_as_a_single_text(source):
    texts = [text for text in TEXTS if PAIR not in text]
    assert PairTokenizer(source, max_length=24)(texts) == HostTokenizer(source, max_length=24)(texts)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("max_length", [5, 24, 200])
def test_the_graph_gives_the_same_ids(side, max_length):
    source = AutoTokenizer.from_pretrained(FIXTURES / "bert", truncation_side=side)
    tokenizer = PairTokenizer(source, max_length=max_length, type_offset=len(source))
    graph = PairGraphTokenizer(WordPieceTokenizer.from_hugging_face(source), tokenizer)
    texts = [*(join_pair(*pair) for pair in PAIRS), *TEXTS]

    run = tf.function(lambda values: graph(values, max_length))
    ids, mask = (tensor.numpy() for tensor in run(tf.constant([text.encode("utf-8", "replace") for text in texts])))

    assert [row[kept == 1].tolist() for row, kept in zip(ids, mask, strict=True)] == tokenizer(texts)
    assert (ids[mask == 0] == source.pad_token_id).all()


def test_templates_of_special_tokens():
    bert, roberta = (AutoTokenizer.from_pretrained(FIXTURES / name) for name in ("bert", "roberta"))
    cls, sep = bert.cls_token_id, bert.sep_token_id
    found = PairTokenizer(bert, max_length=40, type_offset=len(bert)).template
    assert found == PairTemplate((cls,), (sep,), (sep,), (sep,))
    assert PairTokenizer(roberta, max_length=40).template == PairTemplate((0,), (2, 2), (2,), (2,))


def test_the_longer_text_is_cut_first_by_hand():
    """Room for 7: 2 and 9 keep 2 and 5; 9 and 2 keep 5 and 2; 5 and 6 keep 3 and 4; 6 and 5 keep 4 and 3."""
    firsts, seconds, expected = [2, 9, 5, 6, 3], [9, 2, 6, 5, 4], [(2, 5), (5, 2), (3, 4), (4, 3), (3, 4)]
    assert [share_room(*lengths, 7) for lengths in zip(firsts, seconds, strict=True)] == expected
    in_graph = pair_graph.share_room(tf.constant(firsts), tf.constant(seconds), tf.constant(7))
    np.testing.assert_array_equal(np.transpose(in_graph), expected)


def test_ids_joined_are_those_of_the_pair(source):
    offset = len(source) if "token_type_ids" in source.model_input_names else 0
    tokenizer = PairTokenizer(source, max_length=24, type_offset=offset)
    pairs = [(first.replace(PAIR, ""), second) for first, second in PAIRS]
    parts = [tokenizer.find_ids(pair) for pair in pairs]
    assert [tokenizer.join_ids(*ids) for ids in parts] == tokenizer([join_pair(*pair) for pair in pairs])


def test_a_separator_in_the_first_text_is_left_out():
    assert split_pair(join_pair(f"a{PAIR}b", f"c{PAIR}d")) == ("ab", f"c{PAIR}d")
    assert join_pair("a", "b", " | ") == "a | b"
    assert split_pair("a") == ("a", None)
