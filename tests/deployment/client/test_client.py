"""The client, over both protocols, against the embedded server with a model like an exported chain."""

import copy
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain.chains.search_client import Client
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.client.client import RequestError
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions


def make_search_model() -> Any:
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def search(self, text: Any) -> Any:
            count = tf.size(text)
            return {
                "ids": tf.tile([["d1", "d2"]], [count, 1]),
                "scores": tf.tile([[0.75, 0.1]], [count, 1]),
                "texts": tf.stack([text + " 你好", text + "?"], 1),
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def embed(self, text: Any) -> Any:
            length = tf.cast(tf.strings.length(text), tf.float32)
            return {"embedding": tf.stack([length, length * 0.1], 1)}

        @tf.function(
            input_signature=[tf.TensorSpec([None, 2], tf.int32, name="a"), tf.TensorSpec([None], tf.bool, name="b")]
        )
        def mixed(self, a: Any, b: Any) -> Any:
            return {"sum": tf.cast(tf.reduce_sum(a, 1), tf.int64), "not_b": ~b, "raw_bytes": tf.as_string(a)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def echo(self, text: Any) -> Any:
            return {"text": tf.identity(text)}

    return Module()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    import tensorflow as tf

    base_path = tmp_path_factory.mktemp("client")
    module = make_search_model()
    signatures = {
        "serving_default": module.search,
        "embed": module.embed,
        "mixed": module.mixed,
        "echo": module.echo,
    }
    tf.saved_model.save(module, str(base_path / "1"), signatures=signatures)
    with ModelServer(
        ServerOptions("docs", base_path, host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0)
    ) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def client(server: ModelServer) -> Iterator[Client]:
    with Client(f"127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}") as made:
        yield made


both = pytest.mark.parametrize("protocol", ["grpc", "rest"])


@both
def test_search_returns_results_with_hits(client: Client, protocol: str) -> None:
    first, second = client.search(["hi", "你"], model="docs", protocol=protocol)
    assert dict(first) == {"text": "hi", "answer": "hi 你好"}
    assert [(hit.id, hit.text) for hit in first.hits] == [("d1", "hi 你好"), ("d2", "hi?")]
    assert [hit.score for hit in first.hits] == [0.75, pytest.approx(0.1)]
    assert second["answer"] == "你 你好"


@both
def test_a_pickled_client_asks_the_same_server_with_connections_of_its_own(client: Client, protocol: str) -> None:
    asked = client.search("hi", model="docs", protocol=protocol)
    for again in (pickle.loads(pickle.dumps(client)), copy.deepcopy(client)):
        found = again.search("hi", model="docs", protocol=protocol)
        assert (found, found[0].hits) == (asked, asked[0].hits)
        again.close()
    assert client.search("hi", model="docs", protocol=protocol) == asked
    quick = pickle.loads(pickle.dumps(Client(rest_url="http://127.0.0.1:1", timeout_seconds=0.5)))
    assert quick._address == (None, "http://127.0.0.1:1", 0.5)


@both
def test_one_text_gives_a_list_of_one_and_none_an_empty_one(client: Client, protocol: str) -> None:
    assert len(client.search("hi", model="docs", protocol=protocol)) == 1
    assert client.search([], model="docs", protocol=protocol) == []


@both
def test_embed_returns_float32_vectors(client: Client, protocol: str) -> None:
    vectors = client.embed(["a", "abc"], model="docs", protocol=protocol)
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, np.array([[1.0, 0.1], [3.0, np.float32(3) * np.float32(0.1)]], np.float32))
    assert client.embed([], model="docs", protocol=protocol).shape == (0, 2)


def test_no_text_is_an_error_where_the_width_of_vectors_is_unknown(client: Client) -> None:
    original = client.metadata
    for shape in ({"unknown_rank": True}, {"dim": [{"size": "-1"}, {"size": "-1"}]}):
        signature = {"outputs": {"embedding": {"tensor_shape": shape}}}
        found = {"metadata": {"signature_def": {"signature_def": {"embed": signature}}}}
        client.metadata = lambda *_, found=found, **__: found  # type: ignore[method-assign,misc]
        try:
            with pytest.raises(InputError, match="at least one text for a model that does not declare the width"):
                client.embed([], model="docs")
        finally:
            client.metadata = original  # type: ignore[method-assign]


@both
def test_predict_keeps_types_and_shapes(client: Client, protocol: str) -> None:
    outputs = client.predict(
        {"a": np.array([[1, 2], [3, 4]], np.int32), "b": [True, False]},
        model="docs",
        signature="mixed",
        version=1,
        protocol=protocol,
    )
    assert sorted(outputs) == ["not_b", "raw_bytes", "sum"]
    assert (outputs["sum"].dtype, outputs["sum"].tolist()) == (np.int64, [3, 7])
    assert (outputs["not_b"].dtype, outputs["not_b"].tolist()) == (np.bool_, [False, True])
    assert outputs["raw_bytes"].tolist() == [[b"1", b"2"], [b"3", b"4"]]


@both
def test_the_output_filter_leaves_the_rest_out(client: Client, protocol: str) -> None:
    inputs = {"a": np.array([[1, 2]], np.int32), "b": [True]}
    found = client.predict(inputs, model="docs", signature="mixed", output_filter=["sum"], protocol=protocol)
    assert list(found) == ["sum"]
    with pytest.raises(RequestError, match="output tensor alias not found in signature: nope") as caught:
        client.predict(inputs, model="docs", signature="mixed", output_filter=["nope"], protocol=protocol)
    assert caught.value.code == "INVALID_ARGUMENT"


@both
def test_what_is_no_text_comes_back_as_bytes(client: Client, protocol: str) -> None:
    def echo(texts: list[Any]) -> list[Any]:
        return client.predict({"text": texts}, model="docs", signature="echo", protocol=protocol)["text"].tolist()

    assert echo([b"\xff\xfe", "ok"]) == [b"\xff\xfe", b"ok"]
    assert echo(["ok\n😀\x00", b"plain"]) == ["ok\n😀\x00", "plain"]


@both
def test_status_and_metadata_are_the_same_over_both(client: Client, protocol: str) -> None:
    assert client.status("docs", protocol=protocol) == {1: "AVAILABLE"}
    metadata = client.metadata("docs", protocol=protocol)
    assert metadata == client.metadata("docs", version=1)
    inputs = metadata["metadata"]["signature_def"]["signature_def"]["embed"]["inputs"]
    assert inputs["text"]["dtype"] == "DT_STRING"


@both
def test_the_servers_errors_have_code_and_message(client: Client, protocol: str) -> None:
    with pytest.raises(RequestError) as caught:
        client.search(["hi"], model="nope", protocol=protocol)
    assert (caught.value.code, caught.value.message) == ("NOT_FOUND", "Servable not found for request: Latest(nope)")
    with pytest.raises(RequestError, match=r"not found in signature def|Serving signature key"):
        client.predict({"text": ["a"]}, model="docs", signature="nope", protocol=protocol)
    with pytest.raises(RequestError, match="Could not find any versions of model nope"):
        client.status("nope", protocol=protocol)


@both
def test_a_model_that_is_no_search_is_named(client: Client, protocol: str) -> None:
    original = client.predict
    client.predict = lambda *args, **options: {"embedding": np.zeros(1)}  # type: ignore[method-assign]
    try:
        with pytest.raises(ServerError, match=r"must answer with ids, scores and texts.*\['embedding'\]"):
            client.search(["hi"], model="docs", protocol=protocol)
    finally:
        client.predict = original  # type: ignore[method-assign]


@both
def test_threads_share_a_client(client: Client, protocol: str) -> None:
    found: dict[int, str] = {}

    def work(number: int) -> None:
        for _ in range(5):
            found[number] = client.search([f"q{number}"], model="docs", protocol=protocol)[0]["answer"]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {number: f"q{number} 你好" for number in range(8)}


def test_a_connection_that_the_server_closed_is_opened_again(server: ModelServer) -> None:
    with Client(rest_url=f"http://127.0.0.1:{server.rest_port}/") as client:
        assert client.status("docs") == {1: "AVAILABLE"}
        transport: Any = client._transports["rest"]
        transport._local.connection.sock.shutdown(2)
        assert client.status("docs") == {1: "AVAILABLE"}


@pytest.mark.parametrize("signature", ["mixed", "echo"])
def test_outputs_that_a_new_version_has_are_looked_up_anew(client: Client, signature: str) -> None:
    inputs: dict[str, Any] = {"text": ["a"]} if signature == "echo" else {"a": [[1, 2]], "b": [True]}
    expected = client.predict(inputs, model="docs", signature=signature, protocol="rest")
    transport: Any = client._transports["rest"]
    for before in ({"old": "DT_INT32"}, {"old": "DT_INT32", "text": "DT_STRING"}):
        if len(before) > 1 or signature == "mixed":  # of one output alone an answer does not tell the name
            transport._outputs["docs", signature, None] = before
        found = client.predict(inputs, model="docs", signature=signature, protocol="rest")
        assert {name: array.tolist() for name, array in found.items()} == {
            name: array.tolist() for name, array in expected.items()
        }


@pytest.mark.parametrize("address", [{"grpc_target": "127.0.0.1:1"}, {"rest_url": "http://127.0.0.1:1"}])
def test_a_server_that_is_not_there_is_one_clear_error(address: dict[str, str]) -> None:
    with Client(**address, timeout_seconds=5.0) as client:  # type: ignore[arg-type]
        with pytest.raises(ServerError, match=r"127.0.0.1:1 cannot be reached: .*Check the address") as caught:
            client.search(["hi"], model="docs")
        assert not isinstance(caught.value, RequestError)


def test_a_server_that_does_not_answer_in_time_is_an_error() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(rest_url=url, timeout_seconds=0.2) as client, pytest.raises(ServerError, match="timed out"):
            client.status("docs")


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match="must have a `grpc_target` or a `rest_url`"):
        Client()
    with pytest.raises(InputError, match="must be like"):
        Client(rest_url="127.0.0.1:8501")
    with Client(rest_url="http://127.0.0.1:1") as client:
        with pytest.raises(InputError, match=r"protocol='grpc', addresses for \['rest'\]"):
            client.status("m", protocol="grpc")
        for mixed in (["a", None], [1.0, "a"], np.array(["a", 1], object)):
            with pytest.raises(InputError, match="Input 'x' must hold only numbers, or only texts"):
                client.predict({"x": mixed}, model="m")
        with pytest.raises(InputError, match="Input 'x' must be nested lists of equal lengths"):
            client.predict({"x": [[1, 2], [3]]}, model="m")


def test_rest_never_imports_tensorflow(server: ModelServer) -> None:
    code = (
        "import sys; from tfchain import Client; "
        f"client = Client(rest_url='http://127.0.0.1:{server.rest_port}'); "
        "print(client.search(['hi'], model='docs')[0]['answer']); assert 'tensorflow' not in sys.modules"
    )
    run = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert run.stdout == "hi 你好\n"
