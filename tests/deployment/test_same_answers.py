"""The chain and its served version, over gRPC and REST: the same answer to a text, or the same error."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain import Client, NeuralSearchChain
from tfchain.core.errors import InputError
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.runtime.tf_text import load_tf_text

TEXTS = (
    "half a surrogate \ud800 the cat",
    "\udc00",
    "two halves \ud83d\ude00 a dog",
    "the\0cat\0",
    "\ufffd\ufeff\u200d",
    "the cat sleeps " * 50_000,
    "cat" * 100_000,
    np.str_("a dog"),
)
both = pytest.mark.parametrize("protocol", ["grpc", "rest"])


@pytest.fixture(scope="module")
def chain(thin_model_path: Path) -> NeuralSearchChain:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    return chain.add(["the cat sleeps", "a dog", "stocks fell on monday", "你好"])


@pytest.fixture(scope="module")
def client(chain: NeuralSearchChain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("same")
    chain.export(folder, top_k=2)
    load_tf_text()
    options: dict[str, Any] = {"host": "127.0.0.1", "grpc_port": 0, "rest_port": 0, "poll_seconds": 0}
    with ModelServer(ServerOptions("docs", folder, **options)) as server:
        server.start()
        with Client(f"127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}") as made:
            yield made


@both
@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_an_odd_text_has_the_same_answer_from_chain_and_client(
    chain: NeuralSearchChain, client: Client, protocol: str, number: int
) -> None:
    text = TEXTS[number]
    expected = chain.search(text, top_k=2)
    (found,) = client.search(text, model="docs", protocol=protocol)
    assert found == expected
    assert [hit.id for hit in found.hits] == [hit.id for hit in expected.hits]
    np.testing.assert_allclose([hit.score for hit in found.hits], [hit.score for hit in expected.hits], atol=1e-5)
    np.testing.assert_allclose(client.embed(text, model="docs", protocol=protocol)[0], chain.encode(text), atol=1e-5)


@both
@pytest.mark.parametrize("texts", [[], np.array([], object), np.array(["a dog", "the"]), ("a", ""), iter(["a"])])
def test_any_list_of_texts_has_the_same_vectors(
    chain: NeuralSearchChain, client: Client, protocol: str, texts: Any
) -> None:
    texts = list(texts) if not isinstance(texts, np.ndarray) else texts
    found, expected = client.embed(texts, model="docs", protocol=protocol), chain.encode(texts)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    if "" not in texts:
        assert client.search(texts, model="docs", protocol=protocol) == chain.search(texts, top_k=2)


@pytest.mark.parametrize("wrong", ["", " \n", [""], ["a", "\u3000"], [None], [b"a"], None, 5, b"a", {"a": 1}])
def test_a_wrong_query_is_the_same_error_from_chain_and_client(
    chain: NeuralSearchChain, client: Client, wrong: Any
) -> None:
    with pytest.raises(InputError, match="^A query must ") as caught:
        chain.search(wrong)
    for protocol in ("grpc", "rest"):
        with pytest.raises(InputError) as again:
            client.search(wrong, model="docs", protocol=protocol)
        assert str(again.value) == str(caught.value)


@pytest.mark.parametrize("wrong", [[None], [b"a"], [["a"]], None, 5, b"a", {"a": 1}, np.array([1.0])])
def test_a_wrong_text_is_the_same_error_from_chain_and_client(
    chain: NeuralSearchChain, client: Client, wrong: Any
) -> None:
    with pytest.raises(InputError) as caught:
        chain.encode(wrong)
    for protocol in ("grpc", "rest"):
        with pytest.raises(InputError) as again:
            client.embed(wrong, model="docs", protocol=protocol)
        assert str(again.value) == str(caught.value)
