"""The client's searches with a filter, against the real endpoints with a model that compares words."""

import datetime
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.search_server import make_router, serve_http, serve_models, write_version
from tfchain import Client
from tfchain.core.errors import InputError, ServerError
from tfchain.core.types import Hit
from tfchain.deployment.client.client import RequestError
from tfchain.deployment.server.http.rest import RestApi
from tfchain.deployment.server.http.routes import Router
from tfchain.deployment.server.manager import Manager

DOCUMENTS = {"a": "A dog runs.", "b": "The cat sleeps.", **{f"n{number}": f"Note {number}" for number in range(20)}}
METADATA = {"a": {"day": "2026-11-28"}, "b": {"day": "2026-11-29", "tags": ["cats"]}} | {
    f"n{number}": {"number": number} for number in range(20)
}


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    folder = tmp_path_factory.mktemp("models")
    write_version(folder / "docs" / "1", DOCUMENTS, METADATA, {"b": "Cats"}, top_k=12, has_metadata=True)
    write_version(folder / "old" / "1", {"x": "The cat."})
    with serve_models({name: {1: folder / name / "1"} for name in ("docs", "old")}) as made:
        yield made


@pytest.fixture(scope="module")
def client(manager: Manager) -> Iterator[Client]:
    # Nothing listens on the gRPC address: a filter takes REST by itself.
    with serve_http(make_router(manager)) as url, Client("127.0.0.1:1", url) as made:
        yield made


def test_a_filter_chooses_the_hits_which_have_titles_and_metadata(client: Client) -> None:
    cat, dog = client.search(["the cat", "dog"], model="docs", filter={"day": {"$exists": True}})
    assert dict(cat) == {"text": "the cat", "answer": "The cat sleeps."}
    best = Hit("b", 1.0, "The cat sleeps.", "Cats", {"day": "2026-11-29", "tags": ["cats"]})
    other = Hit("a", 0.0, "A dog runs.", "", {"day": "2026-11-28"})
    assert cat.hits == (best, other)
    assert [hit.id for hit in dog.hits] == ["a", "b"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"day": {"$gt": datetime.date(2026, 11, 28)}}, ["b"]),
        ({"day": np.datetime64("2026-11-28")}, ["a"]),
        ({"number": {"$in": (np.int64(3), np.float32(4))}}, ["n3", "n4"]),
        ({"number": 99}, []),
        ({"number": {"$gte": 0}}, [f"n{number}" for number in range(12)]),  # as many as were exported, not ten
    ],
    ids=["date", "datetime64", "numbers", "none", "many"],
)
def test_values_are_those_that_a_chain_takes(client: Client, condition: dict[str, Any], expected: list[str]) -> None:
    (result,) = client.search("x", model="docs", filter=condition, protocol="rest")
    assert [hit.id for hit in result.hits] == expected
    assert dict(result) == {"text": "x", "answer": DOCUMENTS[expected[0]] if expected else "x"}


def test_no_query_asks_nothing(client: Client) -> None:
    assert client.search([], model="docs", filter={"day": 1}) == []


def test_what_a_filter_cannot_be_used_with_is_named(client: Client) -> None:
    with pytest.raises(InputError, match=r"`filter`'s key 'a' must be compared with a string, .* Received: null"):
        client.search("x", model="docs", filter={"a": None})
    with pytest.raises(InputError, match=r"`filter` goes over REST, to /v1/search. Received: protocol='grpc'\. Pass"):
        client.search("x", model="docs", filter={"a": 1}, protocol="grpc")
    with pytest.raises(InputError, match="`filter` searches a model's latest version. Received: version=1. Leave one"):
        client.search("x", model="docs", filter={"a": 1}, version=1)
    with Client("127.0.0.1:1") as grpc, pytest.raises(InputError, match="Received: a client without `rest_url`"):
        grpc.search("x", model="docs", filter={"a": 1})


def test_the_servers_errors_have_code_and_message(client: Client) -> None:
    with pytest.raises(RequestError, match="The model 'nope' does not exist, or is not served now") as caught:
        client.search("x", model="nope", filter={"a": 1})
    assert caught.value.code == "NOT_FOUND"
    with pytest.raises(RequestError, match="`filter` needs the documents' metadata, which version 1 of old lacks"):
        client.search("x", model="old", filter={"a": 1})


def test_a_stock_server_is_told_apart(manager: Manager) -> None:
    router = Router(RestApi(manager).answer)  # TensorFlow Serving's paths alone
    with (
        serve_http(router) as url,
        Client(rest_url=url) as client,
        pytest.raises(ServerError, match=r"`filter` needs tfchain's server, .*Serve the model with `tfchain serve`"),
    ):
        client.search("x", model="docs", filter={"a": 1})
