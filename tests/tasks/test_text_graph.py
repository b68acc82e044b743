"""Texts on the wire, and those that prove a graph."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.models.tokenizers.unigram_tokenizers import make_tied_pair
from tfchain.core.errors import InputError
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.tasks.encoder_graph import EncoderGraph
from tfchain.tasks.text_graph import TextGraph, check_signatures, to_array, to_bytes


def test_texts_are_sent_as_utf_8_and_half_a_surrogate_pair_as_a_question_mark() -> None:
    assert to_bytes("caf\u00e9") == b"caf\xc3\xa9"
    assert to_bytes("a\ud800b") == b"a?b"
    array = to_array(["a", "longer", ""])
    assert (array.dtype, array.tolist()) == (object, [b"a", b"longer", b""])


def test_signatures_are_of_text_or_of_ids() -> None:
    check_signatures("text")
    check_signatures("ids")
    with pytest.raises(InputError, match="`signatures` must be 'text' or 'ids'. Received: signatures='both'"):
        check_signatures("both")


def test_texts_that_graph_and_host_cut_in_equally_likely_ways_are_left_out_of_the_proofs() -> None:
    pair = make_tied_pair()
    graph = object.__new__(TextGraph)
    tokenizer = HostTokenizer(pair.hugging_face, max_length=8)
    encoder = SimpleNamespace(
        tokenizer=tokenizer, longest=8, find_prompt=lambda prompt: "", query_prompt="b", document_prompt="a"
    )
    side: Any = object.__new__(EncoderGraph)
    side.text_encoder, side.tokenizer = encoder, pair.graph
    graph._sides = {side: None}
    graph.texts = ["a", "b333", "bb333", "333"]  # bb333 is a tie, and so is b333 after a query's prompt
    graph._cut_off = ("bb333",)
    graph._leave_out_ties()
    assert graph.texts == ["a", "333"]
    assert graph._cut_off == ()
