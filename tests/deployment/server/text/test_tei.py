"""text-embeddings-inference's endpoints, asked by Hugging Face's client and as Milvus asks."""

import json
from typing import Any

import numpy as np
import pytest
from huggingface_hub import InferenceClient

from tests.conformance.conftest import Reply, Wire
from tfchain.models.text_encoder import TextEncoder

TEXTS = ["the cat sleeps", "a dog", "你好"]
LONG = "cat " * 40
NO_PROMPT = {"source_sentence": "a cat", "sentences": TEXTS}


def post(wire: Wire, path: str, body: Any) -> Reply:
    return wire.http("POST", path, json.dumps(body).encode())


def ask(wire: Wire, path: str, body: Any) -> Any:
    reply = post(wire, path, body)
    assert reply.status == 200, reply.text
    return json.loads(reply.text)


def assert_close(found: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(np.array(found, np.float32), expected, atol=1e-5)


@pytest.mark.parametrize("normalize", [True, False, None])
def test_hugging_faces_client(base_url: str, encoder: TextEncoder, normalize: bool | None) -> None:
    client = InferenceClient(base_url)  # LangChain's and Haystack's classes for this server call it
    assert_close(client.feature_extraction(TEXTS, normalize=normalize, truncate=True), encoder.encode(TEXTS))  # type: ignore[arg-type]
    single = client.feature_extraction("a dog", prompt_name="query")
    assert_close(single, encoder.encode_query(["a dog"]))


def test_hugging_faces_client_compares_sentences(base_url: str, encoder: TextEncoder) -> None:
    scores = InferenceClient(f"{base_url}/similarity").sentence_similarity("a cat", TEXTS)
    assert_close(scores, encoder.encode(TEXTS) @ encoder.encode("a cat"))


def test_milvus(docs_wire: Wire, encoder: TextEncoder) -> None:
    body = {"inputs": [*TEXTS, LONG], "truncate": True, "truncation_direction": "Right"}
    assert_close(ask(docs_wire, "/embed", body), encoder.encode([*TEXTS, LONG]))


def test_one_text_token_ids_and_dimensions(docs_wire: Wire, encoder: TextEncoder) -> None:
    assert_close(ask(docs_wire, "/embed", {"inputs": "a dog", "model": "docs"}), encoder.encode(["a dog"]))
    ids = [list(map(int, row)) for row in encoder.tokenizer(TEXTS)]
    assert_close(ask(docs_wire, "/embed", {"inputs": ids, "truncate": False}), encoder.encode(TEXTS))
    cut = encoder.encode(["a dog"])[:, :4]
    assert_close(ask(docs_wire, "/embed", {"inputs": "a dog", "dimensions": 4}), cut / np.linalg.norm(cut))


def test_cutting_off_the_start_is_taken_where_nothing_is_cut_off(docs_wire: Wire, encoder: TextEncoder) -> None:
    body = {"inputs": TEXTS, "truncate": True, "truncation_direction": "Left"}
    assert_close(ask(docs_wire, "/embed", body), encoder.encode(TEXTS))


@pytest.mark.parametrize("words", [21, 22])
def test_a_text_as_long_as_the_model_takes_may_have_been_cut_off(docs_wire: Wire, words: int) -> None:
    reply = post(docs_wire, "/embed", {"inputs": ["a", "cat " * words], "truncate": False})  # with two special tokens
    assert reply.status == (200 if words == 21 else 413)


def test_the_prompt_counts_when_a_text_must_not_be_cut_off(docs_wire: Wire) -> None:
    body = {"inputs": "cat " * 21, "truncate": False, "prompt_name": "query"}  # the prompt is one token
    assert post(docs_wire, "/embed", body).status == 413


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/embed", {}, 422, "`inputs` is missing"),
        ("/embed", {"inputs": []}, 422, "`inputs` must not be empty."),
        ("/embed", {"inputs": ""}, 422, "`inputs` must have no empty texts."),
        ("/embed", {"inputs": ["a"] * 71}, 413, "must have at most 70 items"),
        ("/embed", {"inputs": "a", "truncate": "yes"}, 422, "`truncate` must be true or false"),
        ("/embed", {"inputs": "a", "truncation_direction": "Up"}, 422, "must be one of Right, Left"),
        ("/embed", {"inputs": LONG, "truncate": False}, 413, "must have less than 24 tokens a text"),
        ("/embed", {"inputs": LONG, "truncation_direction": "Left"}, 413, "cuts off the end of a text only"),
        ("/embed", {"inputs": "a", "prompt_name": "title"}, 422, "must be one of query, document, passage"),
        ("/embed", {"inputs": "a", "normalize": 1}, 422, "`normalize` must be true or false"),
        ("/embed", {"inputs": "a", "dimensions": 5}, 422, "must be one of 4, 8, 16"),
        ("/embed", {"inputs": [2, 7, 30_000, 3]}, 422, "not of this model's tokenizer"),
        ("/embed", {"inputs": [2, *[7] * 30, 3]}, 413, "must have at most 24 token ids"),
        ("/embed", {"inputs": "a", "model": "nope"}, 404, "Served: docs."),
        ("/embed", {"inputs": "x" * 30_000}, 413, "must have at most 20000 bytes"),
        ("/similarity", {"inputs": "a"}, 422, '`inputs` must be an object. Received: "a".'),
        ("/similarity", {"inputs": {"sentences": ["a"]}}, 422, "`inputs.source_sentence` is missing"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 422, "`inputs.sentences` must not be"),
        ("/similarity", {"inputs": NO_PROMPT, "parameters": {"truncate": 1}}, 422, "`parameters.truncate` must be"),
        ("/tokenize", {"inputs": [2, 7, 3]}, 422, "`inputs` must be a string or a list of strings."),
        ("/tokenize", {"inputs": "a", "add_special_tokens": "no"}, 422, "must be true or false"),
    ],
)
def test_a_wrong_field_is_named(docs_wire: Wire, path: str, body: Any, status: int, text: str) -> None:
    reply = post(docs_wire, path, body)
    found = json.loads(reply.text)
    assert (reply.status, set(found), found["error_type"]) == (
        status,
        {"error", "error_type"},
        "Backend" if status == 404 else "Validation",
    )
    assert text in found["error"]


def test_similarity_takes_the_prompt(docs_wire: Wire, encoder: TextEncoder) -> None:
    found = ask(docs_wire, "/similarity", {"inputs": NO_PROMPT, "parameters": {"prompt_name": "query"}})
    assert_close(found, encoder.encode_query(TEXTS) @ encoder.encode_query("a cat"))


def test_tokens(docs_wire: Wire, encoder: TextEncoder) -> None:
    (tokens,) = ask(docs_wire, "/tokenize", {"inputs": "the cats"})
    assert [(token["text"], token["special"]) for token in tokens] == [
        ("[CLS]", True),
        ("the", False),
        ("cat", False),
        ("##s", False),
        ("[SEP]", True),
    ]
    assert [token["id"] for token in tokens] == list(map(int, encoder.tokenizer(["the cats"])[0]))
    assert {(token["start"], token["stop"]) for token in tokens} == {(None, None)}


def test_tokens_without_special_ones_and_with_a_prompt(docs_wire: Wire) -> None:
    body = {"inputs": ["cat", ""], "add_special_tokens": False, "prompt_name": "query"}
    found = ask(docs_wire, "/tokenize", body)
    assert [[token["text"] for token in tokens] for tokens in found] == [["who", "cat"], ["who"]]


def test_a_special_token_that_is_written_out_is_no_special_one_of_the_text(docs_wire: Wire) -> None:
    (tokens,) = ask(docs_wire, "/tokenize", {"inputs": "[SEP]"})
    assert tokens[0]["special"]
    assert not any(token["special"] for token in tokens[1:-1])
    assert tokens[-1]["special"]


@pytest.mark.parametrize("query", ["", "?model=docs"])
def test_info(docs_wire: Wire, query: str) -> None:
    info = json.loads(docs_wire.http("GET", f"/info{query}").text)
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    wanted = {"model_id": "docs", "model_dtype": "float32", "max_input_length": 24, "auto_truncate": True}
    limits = {"max_client_batch_size": 70, "max_concurrent_requests": 512}
    assert {**info, **wanted, **limits} == info
    assert docs_wire.http("GET", "/info?model=nope").status == 404


def test_health_needs_no_key_and_info_does(docs_wire: Wire, keyed_wire: Wire) -> None:
    assert (docs_wire.http("GET", "/health").status, keyed_wire.http("GET", "/health").status) == (200, 200)
    refused = keyed_wire.http("GET", "/info")
    assert (refused.status, json.loads(refused.text)["error_type"]) == (401, "Unauthorized")
    assert refused.headers["www-authenticate"] == "Bearer"


def test_another_method_is_405_in_the_same_form(docs_wire: Wire) -> None:
    reply = docs_wire.http("GET", "/embed")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert json.loads(reply.text) == {"error": "/embed takes POST. Received: GET.", "error_type": "Validation"}
    page = docs_wire.http("OPTIONS", "/embed", headers={"Origin": "https://example.com"})
    assert (page.status, page.headers["access-control-allow-methods"]) == (200, "POST, GET")
