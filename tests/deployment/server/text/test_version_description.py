"""A version whose queries have an encoder of their own, over the wire: its tokens, counts, vectors and hits."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conformance.conftest import Wire
from tfchain import Client, NeuralSearchChain
from tfchain.chains.monitored_version import make_unknown_counter, open_version
from tfchain.deployment.repository import DESCRIPTION
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.text.token_counts import TokenCounter
from tfchain.deployment.server.text.version_description import find_tokenizer
from tfchain.models.text_encoder import TextEncoder

ROUTER = Path(__file__).parents[3] / "parity" / "fixtures" / "router"  # a table for queries, a BERT for documents
DOCUMENTS = ["the quick brown fox", "how do I merge two sorted lists", "stocks fell on monday"]
QUERIES = ["a fox ☃", "sorted lists"]


@pytest.fixture(scope="module")
def chain() -> NeuralSearchChain:
    chain = NeuralSearchChain.from_pretrained(ROUTER, engine="tensorflow")
    return chain.add([{"text": text, "metadata": {"length": len(text)}} for text in DOCUMENTS])


@pytest.fixture(scope="module")
def route(chain: NeuralSearchChain) -> TextEncoder:
    assert chain.text_encoder.query_route is not None
    return chain.text_encoder.query_route


@pytest.fixture(scope="module")
def version(chain: NeuralSearchChain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chain.export(tmp_path_factory.mktemp("routed") / "docs")


@pytest.fixture(scope="module")
def wire(version: Path) -> Iterator[Wire]:
    options: dict[str, Any] = {"host": "127.0.0.1", "grpc_port": 0, "rest_port": 0, "poll_seconds": 0}
    with ModelServer(ServerOptions("docs", version.parent, has_warmup=False, **options)) as server:
        server.start()
        yield Wire(server)


def post(wire: Wire, path: str, body: Any) -> Any:
    reply = wire.http("POST", path, json.dumps(body).encode())
    return json.loads(reply.text)


def list_ids(encoder: TextEncoder, texts: list[str], prompt: str) -> list[list[int]]:
    return [list(map(int, ids)) for ids in encoder.tokenizer([prompt + text for text in texts])]


def test_a_search_is_the_chains_by_every_way(wire: Wire, chain: NeuralSearchChain) -> None:
    expected = [chain.search(query) for query in QUERIES]
    ids = [[hit.id for hit in found.hits] for found in expected]
    scores = [[hit.score for hit in found.hits] for found in expected]
    answers = post(wire, "/v1/models/docs:predict", {"instances": QUERIES})["predictions"]
    assert [answer["ids"] for answer in answers] == ids
    np.testing.assert_allclose([answer["scores"] for answer in answers], scores, atol=1e-5)
    results = post(wire, "/v1/search", {"query": QUERIES})["results"]
    assert [[hit["id"] for hit in result["hits"]] for result in results] == ids
    np.testing.assert_allclose([[hit["score"] for hit in result["hits"]] for result in results], scores, atol=1e-5)
    (filtered,) = post(wire, "/v1/search", {"query": QUERIES[0], "filter": {"length": {"$gt": 20}}})["results"]
    allowed = chain.search(QUERIES[0], filter={"length": {"$gt": 20}}).hits
    assert [hit["id"] for hit in filtered["hits"]] == [hit.id for hit in allowed]
    with Client(wire.grpc_target, f"http://127.0.0.1:{wire.server.rest_port}") as client:
        assert client.search(QUERIES, model="docs", protocol="grpc") == expected


def test_vectors_and_token_counts_are_those_of_the_role(
    wire: Wire, chain: NeuralSearchChain, route: TextEncoder
) -> None:
    encoder = chain.text_encoder
    for kind, vectors, ids in (
        ("query", encoder.encode_query(QUERIES), list_ids(route, QUERIES, "ask: ")),
        ("passage", encoder.encode_document(QUERIES), list_ids(encoder, QUERIES, "")),
        (None, encoder.encode(QUERIES), list_ids(encoder, QUERIES, "")),
    ):
        answer = post(wire, "/v1/embeddings", {"input": QUERIES, "input_type": kind})
        np.testing.assert_allclose([row["embedding"] for row in answer["data"]], vectors, atol=1e-5)
        assert answer["usage"]["prompt_tokens"] == sum(map(len, ids))
        tokens = post(wire, "/tokenize", {"inputs": QUERIES, "prompt_name": kind})
        assert [[token["id"] for token in row] for row in tokens] == ids
        names = (route if kind == "query" else encoder).tokenizer.tokenizer.convert_ids_to_tokens(ids[1])
        assert [token["text"] for token in tokens[1]] == names
        assert any(token["special"] for token in tokens[0]) == (kind != "query")  # the table's has none around a text
        whole = post(wire, "/decode", {"ids": ids, "prompt_name": kind})
        assert whole[1] == ("ask: sorted lists" if kind == "query" else "sorted lists").replace("ask:", "ask :")
    found = TokenCounter(wire.server._manager).count("docs", 1, "query", QUERIES)
    unknown = [list_ids(route, [text], "ask: ")[0].count(1) for text in QUERIES]
    assert [counted[1] for counted in found if counted is not None] == unknown
    assert unknown[0] == 1


def test_token_ids_of_queries_go_to_their_own_signature(
    wire: Wire, chain: NeuralSearchChain, route: TextEncoder
) -> None:
    (ids,) = list_ids(route, QUERIES[1:], "ask: ")
    answer = post(wire, "/v1/embeddings", {"input": [ids], "input_type": "query"})
    assert answer["error"]["message"].startswith("`input` has token ids, and queries of this model have an encoder")
    instance = {"token_ids": ids, "padding_mask": [1] * len(ids)}
    body = {"signature_name": "embed_query_ids", "instances": [instance]}
    (found,) = post(wire, "/v1/models/docs:predict", body)["predictions"]
    np.testing.assert_allclose(found, chain.encode_query(QUERIES[1]), atol=1e-5)


def test_monitoring_counts_unknown_tokens_with_the_queries_tokenizer(version: Path, route: TextEncoder) -> None:
    with open_version(version) as model:
        count = make_unknown_counter(version, model)
        assert count is not None
        ids = list_ids(route, QUERIES, "ask: ")
        np.testing.assert_allclose(count(QUERIES), [row.count(1) / len(row) for row in ids])


def test_a_version_of_one_encoder_has_one_tokenizer(tmp_path: Path) -> None:
    (tmp_path / DESCRIPTION).parent.mkdir()
    (tmp_path / DESCRIPTION).write_text(json.dumps({"text_model": {"vocabulary_size": 3, "empty_text": [1]}}))
    (tmp_path / "assets.extra" / "vocabulary.json").write_text('["a", "<s>", "<unk>"]')
    found = find_tokenizer(tmp_path, "query")
    assert found == find_tokenizer(tmp_path)
    assert (found.vocabulary_size, found.empty_text, found.special_ids) == (3, [1], {1})
    assert (found.decoder, found.unknown_id) == ({"type": "WordPiece"}, 2)
    (tmp_path / DESCRIPTION).write_text(json.dumps({"text_model": ["damaged"]}))
    assert find_tokenizer(tmp_path).vocabulary_size == 0
