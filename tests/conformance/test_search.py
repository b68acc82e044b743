"""`/v1/search` and the search page over the wire: a chain's own answers, keys, other sites, and the flag."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conformance.conftest import Wire
from tfchain import NeuralSearchChain
from tfchain.deployment.server.flags import parse_flags
from tfchain.deployment.server.main import _to_options
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.ports import PortOptions
from tfchain.runtime.tf_text import load_tf_text

PAGE = "<!doctype html>"
KEY = {"Authorization": "Bearer key"}


@pytest.fixture(scope="module")
def chain(thin_model_path: Path) -> NeuralSearchChain:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    return chain.add(
        ["the cat sleeps", "a dog", "stocks fell on monday", "你好", {"id": "title", "title": "a run", "text": ""}]
    )


@pytest.fixture(scope="module")
def search_wire(chain: NeuralSearchChain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A server of the chain's version, with an API key."""
    folder = tmp_path_factory.mktemp("search")
    chain.export(folder / "docs", top_k=3)
    (folder / "keys").write_text("key")
    load_tf_text()
    options: dict[str, Any] = {"host": "127.0.0.1", "grpc_port": None, "rest_port": 0, "poll_seconds": 0}
    ports = PortOptions(api_key_file=str(folder / "keys"))
    with ModelServer(ServerOptions("docs", folder / "docs", ports=ports, **options)) as server:
        server.start()
        yield Wire(server)


def test_a_version_answers_as_its_chain_does(search_wire: Wire, chain: NeuralSearchChain) -> None:
    queries = ["does the cat sleep", "你好", "\ud800 run"]
    reply = search_wire.http("POST", "/v1/search", json.dumps({"query": queries, "top_k": 3}).encode(), KEY)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    answer = json.loads(reply.text)
    assert (answer["model"], answer["version"]) == ("docs", "1")
    for result, expected in zip(answer["results"], chain.search(queries, top_k=3), strict=True):
        assert [hit["id"] for hit in result["hits"]] == [hit.id for hit in expected.hits]
        assert [hit["text"] for hit in result["hits"]] == [hit.text or hit.title for hit in expected.hits]
        scores = [hit["score"] for hit in result["hits"]]
        np.testing.assert_allclose(scores, [hit.score for hit in expected.hits], atol=1e-5)
    cat = next(hit for hit in answer["results"][0]["hits"] if hit["text"] == "the cat sleeps")
    assert cat["highlights"] == [{"text": "the cat sleeps", "start": 0, "marks": [[4, 7], [8, 14]]}]


def test_a_version_knows_its_documents_and_how_many_hits_it_gives(search_wire: Wire) -> None:
    reply = search_wire.http("GET", "/v1/search/models", headers=KEY)
    assert json.loads(reply.text) == {"models": [{"name": "docs", "version": "1", "documents": 5, "top_k": 3}]}
    reply = search_wire.http("POST", "/v1/search", b'{"query": "cat", "top_k": 4}', KEY)
    assert reply.status == 400
    assert "must be at most 3" in reply.text


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/search"), ("GET", "/v1/search/models")])
def test_a_search_needs_a_key_and_the_page_does_not(search_wire: Wire, method: str, path: str) -> None:
    assert search_wire.http(method, path, b'{"query": "cat"}').status == 401
    reply = search_wire.http("GET", "/?q=cat")
    assert (reply.status, reply.text[:15]) == (200, PAGE)


def test_a_connection_goes_on_after_304_and_head(search_wire: Wire) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", search_wire.server.rest_port, timeout=10)
    connection.request("HEAD", "/")
    head = connection.getresponse()
    assert (head.status, head.read(), int(head.headers["Content-Length"]) > 1000) == (200, b"", True)
    connection.request("GET", "/", headers={"If-None-Match": head.headers["ETag"]})
    same = connection.getresponse()
    assert (same.status, same.read(), same.headers["Content-Length"]) == (304, b"", None)
    connection.request("GET", "/page/search.css")
    assert connection.getresponse().read().startswith(b"/* The search page")
    connection.close()


def test_a_server_whose_model_does_not_search_says_so(wire: Wire) -> None:
    assert json.loads(wire.http("GET", "/v1/search/models").text) == {"models": []}
    reply = wire.http("POST", "/v1/search", b'{"query": "cat"}')
    assert reply.status == 400
    assert json.loads(reply.text)["error"]["message"].startswith("The model hpt (version 123) embeds no texts")


def test_other_methods_get_a_stock_servers_answers(wire: Wire) -> None:
    reply = wire.http("GET", "/v1/search")
    assert (reply.status, reply.error) == (400, "Malformed request: GET /v1/search")


def test_pages_of_other_sites_may_search_if_the_flag_says_so(wire: Wire, tuned_wire: Wire) -> None:
    for server, allowed in ((wire, None), (tuned_wire, "*")):
        reply = server.http("POST", "/v1/search", b"{}", {"Origin": "https://example.com"})
        assert (reply.status, reply.headers.get("access-control-allow-origin")) == (400, allowed)


@pytest.mark.parametrize(("flags", "is_on"), [([], True), (["--search_page=false"], False), (["--search_page"], True)])
def test_the_flag_leaves_the_page_out(base_path: Path, flags: list[str], is_on: bool) -> None:
    arguments = [f"--model_base_path={base_path}", "--model_name=hpt", "--port=0", "--choose_ports", *flags]
    options = _to_options(parse_flags([*arguments, "--host=127.0.0.1", "--file_system_poll_wait_seconds=0"]))
    assert options.has_search_page is is_on
    if is_on:
        return
    with ModelServer(options) as server:
        server.start()
        wire = Wire(server)
        # POST / is text-embeddings-inference's, so another method is refused there.
        assert (wire.http("GET", "/").status, wire.http("GET", "/page/search.js").status) == (405, 404)
        assert wire.http("GET", "/v1/search/models").status == 200
