"""OpenAI's endpoints, asked by OpenAI's and LangChain's clients, and by hand."""

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from tests.conformance.conftest import Reply, Wire
from tests.deployment.server.text.conftest import API_KEY
from tfchain.models.text_encoder import TextEncoder

TEXTS = ["the cat sleeps", "a dog", "你好"]


@pytest.fixture(scope="module")
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="none", max_retries=0) as made:
        yield made


def post(wire: Wire, body: Any, path: str = "/v1/embeddings", **headers: str) -> Reply:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return wire.http("POST", path, sent, headers)


def read_vectors(reply: Reply) -> np.ndarray:
    assert reply.status == 200, reply.text
    return np.array([row["embedding"] for row in json.loads(reply.text)["data"]], np.float32)


def assert_close(found: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(np.array(found, np.float32), expected, atol=1e-5)


def test_openais_client_gets_pythons_vectors(client: openai.OpenAI, encoder: TextEncoder) -> None:
    answer = client.embeddings.create(model="docs", input=TEXTS)  # asks for base64
    assert_close([row.embedding for row in answer.data], encoder.encode(TEXTS))
    assert ([row.index for row in answer.data], answer.model, answer.object) == ([0, 1, 2], "docs", "list")
    tokens = sum(map(len, encoder.tokenizer(TEXTS)))
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (tokens, tokens)


def test_floats_and_base64_are_the_same_numbers(client: openai.OpenAI) -> None:
    floats = client.embeddings.create(model="docs", input=TEXTS, encoding_format="float")
    packed = client.embeddings.create(model="docs", input=TEXTS, encoding_format="base64")
    for one_row, other in zip(floats.data, packed.data, strict=True):
        decoded = np.frombuffer(base64.b64decode(other.embedding), "<f4")  # type: ignore[arg-type]
        assert np.array_equal(np.array(one_row.embedding, np.float32), decoded)


def test_one_text_and_no_model(docs_wire: Wire, encoder: TextEncoder) -> None:
    reply = post(docs_wire, {"input": TEXTS[0], "user": "someone", "whatever": [1]})
    assert_close(read_vectors(reply), encoder.encode(TEXTS[:1]))
    assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("more", [{"model": "docs-query"}, {"input_type": "query"}, {"input_type": "search_query"}])
def test_queries_get_the_prompt_for_queries(docs_wire: Wire, encoder: TextEncoder, more: dict[str, str]) -> None:
    reply = post(docs_wire, {"input": TEXTS, **more})
    assert_close(read_vectors(reply), encoder.encode_query(TEXTS))
    assert not np.allclose(read_vectors(reply), encoder.encode(TEXTS), atol=1e-3)
    answer = json.loads(reply.text)
    assert answer["model"] == "docs"
    assert answer["usage"]["total_tokens"] == sum(map(len, encoder.tokenizer(["who " + text for text in TEXTS])))


@pytest.mark.parametrize(
    "more",
    [
        {"model": "docs-document"},
        {"model": "docs-passage"},
        {"model": "docs-passage", "input_type": "document"},
        {"input_type": "passage"},
        {"input_type": "search_document"},
        {"input_type": None},
    ],
)
def test_documents_get_the_prompt_for_documents(docs_wire: Wire, encoder: TextEncoder, more: dict[str, str]) -> None:
    assert_close(read_vectors(post(docs_wire, {"input": TEXTS, **more})), encoder.encode_document(TEXTS))


def test_many_texts_keep_their_order(docs_wire: Wire, encoder: TextEncoder) -> None:
    texts = ["a " * (1 + (7 * number) % 15) + "cat" for number in range(70)]  # more than are run at a time
    assert_close(read_vectors(post(docs_wire, {"input": texts})), encoder.encode(texts))


def test_token_ids_are_texts(docs_wire: Wire, encoder: TextEncoder) -> None:
    ids = [list(map(int, row)) for row in encoder.tokenizer(TEXTS)]
    assert_close(read_vectors(post(docs_wire, {"input": ids})), encoder.encode(TEXTS))
    reply = post(docs_wire, {"input": ids[0]})
    assert_close(read_vectors(reply), encoder.encode(TEXTS[:1]))
    assert json.loads(reply.text)["usage"]["total_tokens"] == len(ids[0])


@pytest.mark.parametrize("length", [4, 8, 16])
def test_vectors_are_cut_and_scaled_again(client: openai.OpenAI, encoder: TextEncoder, length: int) -> None:
    answer = client.embeddings.create(model="docs", input=TEXTS, dimensions=length)
    expected = encoder.encode(TEXTS)[:, :length]
    assert_close([row.embedding for row in answer.data], expected / np.linalg.norm(expected, axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("body", "param", "text"),
    [
        ({}, "input", "`input` is missing: it must be a string, a list of strings"),
        ({"input": None}, "input", "Received: null."),
        ({"input": ""}, "input", "`input` must have no empty strings"),
        ({"input": ["a", ""]}, "input", "Received: one at position 1."),
        ({"input": []}, "input", "`input` must not be empty."),
        ({"input": [[]]}, "input", "must have strings only, or non-empty lists"),
        ({"input": ["a", [1]]}, "input", "must have strings only, or non-empty lists"),
        ({"input": [True]}, "input", "must have strings only"),
        ({"input": [1.5]}, "input", "must have strings only"),
        ({"input": {"a": 1}}, "input", 'Received: {"a": 1}.'),
        ({"input": ["a"] * 71}, "input", "must have at most 70 items. Received: 71."),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format", "must be one of float, base64"),
        ({"input": "a", "dimensions": 5}, "dimensions", "must be one of 4, 8, 16. Received: 5."),
        ({"input": "a", "dimensions": 0}, "dimensions", "must be a whole number of 1 or more. Received: 0."),
        ({"input": "a", "dimensions": True}, "dimensions", "must be a whole number"),
        ({"input": "a", "model": 3}, "model", "`model` must be a string. Received: 3."),
        ({"input": "a", "model": ""}, "model", "`model` must not be empty."),
        ({"input": "a", "input_type": "clustering"}, "input_type", "must be one of query, search_query"),
        ({"input": "a", "input_type": ["query"]}, "input_type", "must be one of query, search_query"),
        ({"input": "a", "model": "docs-query", "input_type": "passage"}, "input_type", "contradicts the model's name"),
        ({"input": [15, 7]}, "input", "check_embedding_ctx_length=False"),
        ({"input": [[2, 15, 3], [15]]}, "input", "begin and end with those of an empty text, [2, 3]"),
        ({"input": [2, 100_000, 3]}, "input", "not of this model's tokenizer"),
        ({"input": [2, -1, 3]}, "input", "not of this model's tokenizer"),
        ({"input": [2, *[7] * 30, 3]}, "input", "must have at most 24 token ids a text. Received: 32 in text 0."),
        ({"input": [2, 7, 3], "input_type": "query"}, "input", "before which no prompt can be put"),
    ],
)
def test_a_wrong_field_is_named(docs_wire: Wire, body: dict[str, Any], param: str, text: str) -> None:
    reply = post(docs_wire, body)
    assert reply.status == 400
    assert set(reply.error) == {"message", "type", "param", "code"}
    error: Any = reply.error
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert text in error["message"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "The body must be JSON."),
        (b'{"input": ', "The body must be JSON."),
        (b"[1]", "The body must be a JSON object. Received: [1]."),
        (b"[" * 10_000, "The body is nested too deeply: at most 128 levels of lists and objects."),
        (b'{"input": "\xff"}', "The body must be JSON."),
    ],
)
def test_a_body_that_is_no_object_is_an_error(docs_wire: Wire, body: bytes, text: str) -> None:
    reply = post(docs_wire, body)
    error: Any = reply.error
    assert (reply.status, error["param"]) == (400, None)
    assert error["message"].startswith(text)


def test_half_a_surrogate_pair_is_a_text(docs_wire: Wire, encoder: TextEncoder) -> None:
    assert_close(read_vectors(post(docs_wire, b'{"input": "a \\ud800"}')), encoder.encode(["a ?"]))


def test_a_gzip_body_is_unpacked_up_to_the_limit(docs_wire: Wire, encoder: TextEncoder) -> None:
    small = gzip.compress(json.dumps({"input": TEXTS}).encode())
    gzipped = {"Content-Encoding": "gzip"}
    assert_close(read_vectors(post(docs_wire, small, **gzipped)), encoder.encode(TEXTS))
    reply = post(docs_wire, gzip.compress(b" " * 20_001), **gzipped)
    error: Any = reply.error
    assert (reply.status, error["type"]) == (413, "invalid_request_error")
    assert "at most 20000 bytes" in error["message"]
    assert post(docs_wire, b"no gzip", **gzipped).status == 400


def test_an_unknown_model_is_openais_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="text-embedding-3-small", input="a")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "Served: docs." in caught.value.message


def test_a_wrong_key_is_openais_401(keyed_wire: Wire, encoder: TextEncoder) -> None:
    url = f"http://127.0.0.1:{keyed_wire.server.rest_port}/v1"
    with openai.OpenAI(base_url=url, api_key="wrong") as client, pytest.raises(openai.AuthenticationError) as caught:
        client.models.list()
    assert (caught.value.code, caught.value.type) == ("invalid_api_key", "invalid_request_error")
    with openai.OpenAI(base_url=url, api_key=API_KEY) as client:
        answer = client.embeddings.create(model="docs", input="a dog")
        assert_close([answer.data[0].embedding], encoder.encode(["a dog"]))


def test_models_are_listed(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == ("docs", "model", "tfchain")
    assert model.created > 1_700_000_000


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/embeddings", 400), ("POST", "/v1/models", 400), ("GET", "/v1/x", 400)]
)
def test_other_methods_are_answered_as_by_a_stock_server(docs_wire: Wire, method: str, path: str, status: int) -> None:
    reply = docs_wire.http(method, path, b"{}" if method == "POST" else None)
    assert (reply.status, reply.error) == (status, f"Malformed request: {method} {path}")


def test_calls_are_counted(docs_wire: Wire) -> None:
    requests = docs_wire.server.metrics.requests
    before = requests.labels("docs", "OK").value, requests.labels("nope", "NOT_FOUND").value
    post(docs_wire, {"input": "a"})
    post(docs_wire, {"input": "a", "model": "nope"})
    after = requests.labels("docs", "OK").value, requests.labels("nope", "NOT_FOUND").value
    assert after == (before[0] + 1, before[1] + 1)


def test_langchains_client(base_url: str, encoder: TextEncoder) -> None:
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(
        model="docs",
        base_url=f"{base_url}/v1",
        api_key="none",  # type: ignore[arg-type]
        check_embedding_ctx_length=False,
        max_retries=0,
    )
    assert_close(embeddings.embed_documents(TEXTS), encoder.encode(TEXTS))
    assert_close(embeddings.embed_query("a dog"), encoder.encode("a dog"))
