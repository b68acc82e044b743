"""Batching over the wire: one server with TensorFlow Serving's parameters, and a version of tfchain's with its own."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.conformance.conftest import VERSION, Wire
from tests.deployment.server.batching.fakes import SECONDS, Gate, WatchedStatistics
from tfchain.core.errors import ServerError
from tfchain.deployment.server.batching.batching import Batching, BatchingOptions
from tfchain.deployment.server.batching.batching_servable import BatchingServable
from tfchain.deployment.server.batching.parameters import BatchingParameters
from tfchain.deployment.server.batching.text_servable import TextBatchingServable
from tfchain.deployment.server.manager import ModelSpec
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.releases import ReleasedServable
from tfchain.deployment.server.servables.saved_model import load_saved_model
from tfchain.deployment.server.servables.servable import Servable
from tfchain.deployment.server.status import Code, StatusError

PARAMETERS = BatchingParameters(
    max_batch_size=4, batch_timeout_micros=1_500_000, max_enqueued_batches=1, allowed_batch_sizes=(2, 4)
)


def options(base_path: Path, **changes: Any) -> ServerOptions:
    return ServerOptions(
        "hpt", base_path, host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0, max_load_retries=0, **changes
    )


class BatchingWire(Wire):
    """The running server, and its version's counters."""

    @property
    def servable(self) -> BatchingServable:
        with self.server._manager.lend(ModelSpec("hpt")) as lease:
            assert isinstance(lease.servable, ReleasedServable)  # it counts runs of versions under release
            assert isinstance(lease.servable._servable, BatchingServable)
            return lease.servable._servable

    def ask(self, instances: Any, signature: str = "serving_default") -> tuple[int, Any]:
        reply = self.predict(json.dumps({"signature_name": signature, "instances": instances}))
        return reply.status, json.loads(reply.text).get("predictions") or reply.error

    def wait_for_queue(self, length: int) -> None:
        deadline = time.monotonic() + SECONDS
        while self.servable._count_waiting() != length:
            assert time.monotonic() < deadline, "the request did not reach the queue"
            time.sleep(0.002)

    def call_grpc(self, signature: str, **inputs: Any) -> Any:
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "hpt", signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        with grpc.insecure_channel(self.grpc_target) as channel:
            return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)


@pytest.fixture(scope="module")
def wire(base_path: Path) -> Iterator[BatchingWire]:
    with ModelServer(options(base_path, batching=BatchingOptions(PARAMETERS))) as server:
        server.start()
        yield BatchingWire(server)


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def count_batches(wire: BatchingWire) -> int:
    return wire.servable.statistics.num_batches


def test_clients_of_both_protocols_share_a_batch(wire: BatchingWire, pool: ThreadPoolExecutor) -> None:
    before = count_batches(wire)
    by_rest = pool.submit(wire.ask, [1.0, 2.0, 3.0])
    by_grpc = pool.submit(wire.call_grpc, "", x=np.array([4.0], np.float32))
    assert by_rest.result(SECONDS) == (200, [2.5, 3.0, 3.5])
    assert list(by_grpc.result(SECONDS).outputs["y"].float_val) == [4.0]
    assert count_batches(wire) == before + 1


def test_texts_are_batched_too(wire: BatchingWire, pool: ThreadPoolExecutor) -> None:
    asked = [pool.submit(wire.ask, [f"{number}", "你好"], "shout") for number in range(2)]
    assert [future.result(SECONDS) for future in asked] == [(200, ["0!", "你好!"]), (200, ["1!", "你好!"])]


def test_a_batch_that_is_not_full_is_padded_and_the_padding_cut_off(wire: BatchingWire) -> None:
    before = wire.servable.statistics.num_padding_rows
    assert wire.ask([1.0, 2.0, 3.0]) == (200, [2.5, 3.0, 3.5])
    assert wire.servable.statistics.num_padding_rows == before + 1


def test_batches_are_among_the_servers_metrics(wire: BatchingWire) -> None:
    from tests.conformance.test_metrics import Change

    with Change(wire, "/metrics") as change:
        assert wire.ask([1.0, 2.0, 3.0]) == (200, [2.5, 3.0, 3.5])
    stock, labels = ":tensorflow:serving:batching_session:", f'{{model="hpt",version="{VERSION}"}}'
    assert change.of(f"{stock}input_batch_size_sum") == {"{}": 3}
    assert change.of(f"{stock}processed_batch_size_sum") == {"{}": 4}
    assert change.of(f"{stock}padding_size_sum") == {'{execution_batch_size="4"}': 1}
    assert change.of(f"{stock}wrapped_run_count") == {"{}": 1}
    assert change.of(f"{stock}queuing_latency_count") == {'{thread_pool_name="model_server_batch_threads"}': 1}
    assert change.of("tfchain_batch_rows_sum") == {labels: 3}
    assert change.of("tfchain_batch_waiting_seconds_count") == {labels: 1}
    assert wire.http("GET", "/metrics").text.count(f"tfchain_batch_queue_length{labels} 0\n") == 1


def test_a_request_of_more_rows_than_a_batch_is_refused(wire: BatchingWire) -> None:
    assert wire.ask([1.0] * 5) == (400, "Task size 5 is larger than maximum input batch size 4")
    with pytest.raises(grpc.RpcError) as caught:
        wire.call_grpc("", x=np.ones(5, np.float32))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "Task size 5 is larger than maximum input batch size 4"


def test_a_full_queue_is_503(wire: BatchingWire, pool: ThreadPoolExecutor) -> None:
    first = pool.submit(wire.ask, [1.0, 2.0, 3.0])
    wire.wait_for_queue(1)
    assert wire.ask([4.0, 5.0]) == (
        503,
        "The batch scheduling queue to which this task was submitted is full; currently 1 batches enqueued and "
        "max_enqueued_batches is 1",
    )
    assert wire.ask([4.0]) == (200, [4.0])  # fills the batch
    assert first.result(SECONDS) == (200, [2.5, 3.0, 3.5])


def test_different_shapes_in_a_batch_are_an_error_of_all(wire: BatchingWire, pool: ThreadPoolExecutor) -> None:
    asked = [pool.submit(wire.ask, rows, "matrix") for rows in ([[1.0, 2.0]], [[1.0, 2.0, 3.0]] * 3)]
    for future in asked:
        status, error = future.result(SECONDS)
        assert status == 400
        assert error.startswith("Tensors with name 'matrix_x:0' from different tasks have different shapes and padding")


@pytest.mark.parametrize(
    ("signature", "error"),
    [
        ("scalar", "Batched output tensor has 0 dimensions"),
        (
            "uneven",
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
            "tensors",
        ),
    ],
)
def test_outputs_without_rows_are_failed_preconditions(wire: BatchingWire, signature: str, error: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        wire.call_grpc(signature, x=np.ones(4, np.float32))
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, error)
    assert wire.ask([1.0] * 4, signature) == (400, error)


def test_a_scalar_input_cannot_be_batched(wire: BatchingWire) -> None:
    reply = wire.predict('{"signature_name": "slow", "inputs": 3}')
    assert (reply.status, reply.error) == (400, "Batching Run() input tensors must have at least one dimension")


def test_inputs_of_unequal_rows_cannot_be_batched(wire: BatchingWire) -> None:
    reply = wire.predict('{"signature_name": "pair", "inputs": {"a": [1.0, 2.0], "b": [1.0]}}')
    assert (reply.status, reply.error) == (400, "Batching Run() input tensors must have equal 0th-dimension size")


def test_a_wrong_data_type_is_its_own_clients_error(wire: BatchingWire) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        wire.call_grpc("", x=np.ones(2, np.float64))
    assert caught.value.details() == "Expects arg[0] to be float but double is provided"


def test_metadata_and_status_are_as_without_batching(wire: BatchingWire) -> None:
    assert wire.http("GET", "/v1/models/hpt").status == 200
    assert '"serving_default"' in wire.http("GET", "/v1/models/hpt/metadata").text


def test_wrong_allowed_sizes_fail_the_load(base_path: Path) -> None:
    wrong = BatchingOptions(BatchingParameters(8, allowed_batch_sizes=(2, 4)))
    with (
        ModelServer(options(base_path, batching=wrong)) as server,
        pytest.raises(
            ServerError,
            match="Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
    ):
        server.start()


def test_a_version_of_others_is_not_batched_without_the_flag(base_path: Path) -> None:
    servable = load_saved_model(base_path / str(VERSION))
    assert Batching(BatchingOptions()).wrap(servable, base_path / str(VERSION)) is servable
    servable.close()


TEXTS = (
    "the cat sleeps",
    "a",
    "",
    "你好，我是一个智能助手",
    "a dog sleeps the whole day, and so does the cat, but the other dog does not",
    "stocks fell on monday",
)


@pytest.fixture(scope="module")
def texts_version(thin_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that a chain exported."""
    from tfchain import NeuralSearchChain
    from tfchain.runtime.tf_text import load_tf_text

    load_tf_text()
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    chain.add(["the cat sleeps", "a dog", "stocks fell on monday", "你好"])
    return chain.export(tmp_path_factory.mktemp("texts"), top_k=2)


class Batched:
    """The version with and without batching; `ask_all` makes requests share a batch."""

    def __init__(self, path: Path) -> None:
        self.plain = load_saved_model(path)
        servable = Batching(BatchingOptions()).wrap(self.plain, path)
        assert isinstance(servable, TextBatchingServable)
        self.servable = servable
        self.statistics = self.servable.statistics = WatchedStatistics()
        self.servable._scheduler.statistics = self.statistics
        self.gate = Gate()
        self.run = self.plain.run
        self.plain.run = self._run  # type: ignore[method-assign]
        self.sizes: list[int] = []

    def _run(self, signature: Any, inputs: Any, outputs: Any, timeout_ms: int | None = None) -> Any:
        self.sizes.append(len(next(iter(inputs.values()))))
        self.gate.go_through()
        return self.run(signature, inputs, outputs, timeout_ms)

    def ask_all(self, pool: ThreadPoolExecutor, name: str, *asked: Any) -> "list[Future[Any]]":
        signature = self.servable.signatures[name]
        self.gate = Gate()
        self.gate.shut()

        def ask(inputs: Any) -> list[np.ndarray]:
            return self.servable.run(signature, inputs, list(signature.outputs))

        futures = [pool.submit(ask, asked[0])]
        self.gate.wait_for(1)
        for number, inputs in enumerate(asked[1:], 1):
            futures.append(pool.submit(ask, inputs))
            self.statistics.wait_for_queue(number)
        self.sizes.clear()
        self.gate.open()
        return futures


@pytest.fixture(scope="module")
def batched(texts_version: Path) -> Iterator[Batched]:
    made = Batched(texts_version)
    yield made
    made.servable.close()


def as_input(*texts: str) -> dict[str, np.ndarray]:
    return {"text": np.array([text.encode() for text in texts], object)}


def compare(servable: Servable, name: str, inputs: Any, answer: Any, run: Any) -> None:
    signature = servable.signatures[name]
    for got, expected in zip(answer, run(signature, inputs, list(signature.outputs)), strict=True):
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
        if expected.dtype == object:
            assert got.tolist() == expected.tolist()
        else:
            np.testing.assert_allclose(got, expected, atol=1e-5)


def test_the_version_knows_which_signatures_it_can_batch(batched: Batched) -> None:
    assert batched.servable.batched == {"embed", "embed_ids", "search", "serving_default"}
    assert batched.servable._max_length > 0


@pytest.mark.parametrize("name", ["embed", "search"])
def test_answers_in_a_batch_are_those_of_a_request_alone(batched: Batched, pool: ThreadPoolExecutor, name: str) -> None:
    texts = [text for text in TEXTS if text or name == "embed"]  # an empty query is equally far from all documents
    asked = [*(as_input(text) for text in texts), as_input(*texts)]
    answers = [future.result(SECONDS) for future in batched.ask_all(pool, name, *asked)]
    assert len(batched.sizes) < len(asked) - 1
    assert sum(batched.sizes) == sum(len(each["text"]) for each in asked[1:])
    for inputs, answer in zip(asked, answers, strict=True):
        compare(batched.servable, name, inputs, answer, batched.run)


def test_token_ids_that_the_graph_refuses_do_not_fail_the_others(batched: Batched, pool: ThreadPoolExecutor) -> None:
    def ids(*row: int) -> dict[str, np.ndarray]:
        token_ids = np.array([row], np.int32)
        return {"token_ids": token_ids, "padding_mask": np.ones_like(token_ids)}

    asked = [ids(2, 3), ids(2, 5), ids(2, 10**6), ids(4, 3)]
    futures = batched.ask_all(pool, "embed_ids", *asked)
    for inputs, future in [*zip(asked, futures, strict=True)][:2]:
        compare(batched.servable, "embed_ids", inputs, future.result(SECONDS), batched.run)
    error = futures[2].exception(SECONDS)
    assert isinstance(error, StatusError)
    assert error.code is Code.INVALID_ARGUMENT
    compare(batched.servable, "embed_ids", asked[3], futures[3].result(SECONDS), batched.run)
    assert batched.sizes == [3, 1, 1, 1]
