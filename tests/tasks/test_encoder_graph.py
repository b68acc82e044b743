"""Graphs of two encoders: queries by one of their own, documents and texts without a role by the other."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfchain import NeuralSearchChain
from tfchain.core.errors import InputError
from tfchain.models.engines.padding import pad
from tfchain.models.native_text_encoder import find_native_obstacle
from tfchain.models.precision import EngineName
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.encoder_graph import EncoderGraph
from tfchain.tasks.search.search_graph import make_search_graph
from tfchain.tasks.served_encoder import to_served_encoder
from tfchain.tasks.text_graph import TextGraph, to_array

FIXTURES = Path(__file__).parents[1] / "parity" / "fixtures"
TEXTS = ["the quick brown fox", "how do I merge two sorted lists", "stocks fell on monday, 你好"]
SIDES = {"query": ("embed_query", "tokenize_query", "embed_query_ids"), "document": ("embed", "tokenize", "embed_ids")}


def make_encoder(route: str, engine: EngineName = "tensorflow") -> TextEncoder:
    """A BERT with WordPiece for documents; for queries a table with WordPiece of its own, or a RoBERTa with BPE."""
    encoder = TextEncoder.from_pretrained(FIXTURES / "router", engine=engine)
    if route == "roberta":
        encoder.query_route = TextEncoder.from_pretrained(FIXTURES / "roberta", engine=engine)
    return encoder


@pytest.fixture(params=["static", "roberta"])
def encoder(request: pytest.FixtureRequest) -> TextEncoder:
    return make_encoder(request.param)


def test_each_role_has_its_encoder_and_its_tokenizer(encoder: TextEncoder) -> None:
    graph = TextGraph(encoder, name="graph")
    route = encoder.query_route
    assert route is not None
    assert set(graph.signatures) == {name for names in SIDES.values() for name in names}
    for role, (embed, tokenize, embed_ids) in SIDES.items():
        side = route if role == "query" else encoder
        expected = encoder.encode_query(TEXTS) if role == "query" else encoder.encode(TEXTS)
        found = graph.signatures[embed](to_array(TEXTS))["embedding"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        prompt = route.query_prompt if role == "query" else ""
        ids, mask = pad(side.tokenizer([prompt + text for text in TEXTS]), side.tokenizer.pad_token_id)
        tokens = graph.signatures[tokenize](to_array(TEXTS))
        np.testing.assert_array_equal(tokens["token_ids"], ids)
        np.testing.assert_array_equal(np.minimum(tokens["padding_mask"], 1), mask)
        by_ids = graph.signatures[embed_ids](token_ids=tokens["token_ids"], padding_mask=tokens["padding_mask"])
        np.testing.assert_allclose(by_ids["embedding"], expected, atol=1e-5)
    assert {proof.signature for proof in graph.proofs} == set(graph.signatures)
    assert graph.text_model["queries"]["vocabulary_size"] == len(route.tokenizer.tokenizer)
    assert graph.text_model["role_lengths"]["query_length"] == route.query_tokenizer.max_length
    vocabularies = {name: json.loads(content) for name, content in graph.text_files.items()}
    assert vocabularies["assets.extra/query_vocabulary.json"][:3] == route.tokenizer.tokenizer.convert_ids_to_tokens(
        [0, 1, 2]
    )
    assert len(vocabularies["assets.extra/vocabulary.json"]) == len(encoder.tokenizer.tokenizer)


def test_a_search_chain_is_exported_with_both(encoder: TextEncoder, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    encoder.save(tmp_path / "model")
    chain = NeuralSearchChain.from_pretrained(tmp_path / "model", engine="tensorflow")
    chain.add([{"text": text, "metadata": {"place": place}} for place, text in enumerate(TEXTS)])
    version = chain.export(tmp_path / "versions", top_k=2)  # ops checked, and compared with the chain
    described = json.loads((version / "assets.extra" / "tfchain.json").read_text())
    known = {"search", "serving_default", "search_filtered", *(name for names in SIDES.values() for name in names)}
    assert set(described["signatures"]) == known
    only_ids = chain.export(tmp_path / "ids", signatures="ids")
    described = json.loads((only_ids / "assets.extra" / "tfchain.json").read_text())
    assert described["signatures"] == ["embed_ids", "embed_query_ids"]


def test_all_signatures_share_a_graph_of_the_tokenizer_for_each_length(thin_model_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    graph = EncoderGraph(encoder, "embed_ids", has_text=True)
    lengths: list[int] = []
    tokenizer = graph.tokenizer

    def count(text: tf.Tensor, max_length: int) -> Any:
        lengths.append(max_length)
        return tokenizer(text, max_length)

    graph.tokenizer = count
    text = to_array(TEXTS)
    made = [graph.tokenize(text, prompt, role)["token_ids"] for prompt, role in (("", None), ("what ", "query"))]
    np.testing.assert_array_equal(made[0], pad(encoder.tokenizer(TEXTS), encoder.tokenizer.pad_token_id)[0])
    asked = pad(encoder.tokenizer([f"what {text}" for text in TEXTS]), encoder.tokenizer.pad_token_id)[0]
    np.testing.assert_array_equal(made[1], asked)
    assert lengths == [encoder.tokenizer.max_length]


def test_litert_has_the_documents_encoder_alone() -> None:
    encoder = make_encoder("roberta", "auto").with_precision("float16")
    assert encoder.query_route is not None
    assert encoder.query_route.precision == "float16"
    served = to_served_encoder(encoder)
    assert served.text_encoder.query_route is not None
    assert served.text_encoder.query_route.precision == "float32"  # TensorFlow has no float16
    assert encoder.query_route.precision == "float16"  # the given one has not changed
    graph = make_search_graph(served.text_encoder, None, litert=served.litert)
    assert set(graph.halves) == {"embed"}
    assert {proof.signature for proof in graph.litert_proofs} == {"embed_ids", "embed"}
    assert (graph.has_halves(), graph.has_halves("document"), graph.has_halves("query")) == (True, True, False)


def test_the_kernels_have_one_encoder_and_leave_such_a_version_to_the_saved_model() -> None:
    encoder = make_encoder("roberta", "auto").with_precision("int8", engine="litert")
    assert find_native_obstacle(encoder) == "its queries have an encoder of their own, a Router's"


def test_a_precision_that_tensorflow_does_not_compute_is_refused() -> None:
    encoder = make_encoder("static", "auto").with_precision("float16")
    with pytest.raises(InputError, match="A SavedModel computes in float32, bfloat16 or calibrated int8. Received"):
        EncoderGraph(encoder, "embed_ids", has_text=True)


def test_a_tokenizer_without_a_graph_leaves_token_ids_of_both(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tfchain.tasks import encoder_graph

    make = encoder_graph.make_graph_tokenizer

    def refuse(tokenizer: object) -> object:
        if encoder.query_route is not None and tokenizer is encoder.query_route.tokenizer:
            raise InputError("It has a part that no graph has.")
        return make(tokenizer)  # type: ignore[arg-type]

    monkeypatch.setattr(encoder_graph, "make_graph_tokenizer", refuse)
    with caplog.at_level(logging.WARNING):
        graph = TextGraph(encoder, name="graph")
    assert set(graph.signatures) == {"embed_ids", "embed_query_ids"}
    assert "`embed_query_ids`. It has a part that no graph has." in caplog.text
