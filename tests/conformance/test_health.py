"""The gRPC services around the requests: health, reflection, and the server's channel arguments."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.conformance.conftest import Wire
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.ports import PortOptions

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3


@pytest.fixture(scope="module")
def channel(watched_wire: Wire) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(watched_wire.grpc_target) as made:
        yield made


def ask(channel: grpc.Channel, **request: Any) -> Any:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (response,) = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**request)]), timeout=10)
    return response


def list_services(channel: grpc.Channel) -> set[str]:
    return {service.name for service in ask(channel, list_services="").list_services_response.service}


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_the_stock_servers_services_are_serving(channel: grpc.Channel, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    assert stub.Check(request, timeout=10).status == SERVING
    watch = stub.Watch(request, timeout=10)
    assert next(watch).status == SERVING
    watch.cancel()


@pytest.mark.parametrize("service", ["nope", "tensorflow.serving.PredictionService"])
def test_other_services_are_not_found(channel: grpc.Channel, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(request, timeout=10)
    assert (caught.value.code().name, caught.value.details()) == ("NOT_FOUND", "service name unknown")
    watch = stub.Watch(request, timeout=10)
    assert next(watch).status == UNKNOWN
    watch.cancel()


def test_without_the_flag_there_is_no_health_service(wire: Wire) -> None:
    with grpc.insecure_channel(wire.grpc_target) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "grpc.health.v1.Health" not in list_services(channel)


def test_a_stopping_server_tells_its_watchers_and_does_not_wait_for_them(base_path: Path) -> None:
    options = ServerOptions("hpt", base_path, host="127.0.0.1", grpc_port=0, rest_port=None, poll_seconds=0)
    server = ModelServer(_with(options, has_health=True))
    server.start()
    seen: queue.Queue[int | str] = queue.Queue()

    def watch() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            for response in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=20):
                seen.put(response.status)
        seen.put("end")

    thread = threading.Thread(target=watch)
    thread.start()
    assert seen.get(timeout=10) == SERVING
    closer = threading.Thread(target=server.close)
    closer.start()
    assert [seen.get(timeout=5), seen.get(timeout=5)] == [NOT_SERVING, "end"]
    closer.join(5)
    assert not closer.is_alive()
    thread.join(5)


def test_many_watches_leave_threads_for_requests(base_path: Path) -> None:
    options = ServerOptions(
        "hpt", base_path, host="127.0.0.1", grpc_port=0, rest_port=None, poll_seconds=0, grpc_threads=1
    )
    with ModelServer(_with(options, has_health=True)) as server:
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=20) for _ in range(3)]
            assert [next(watch).status for watch in watches] == [SERVING] * 3
            requests: queue.Queue[Any] = queue.Queue()
            open_stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                iter(requests.get, None), timeout=20
            )
            requests.put(reflection_pb2.ServerReflectionRequest(list_services=""))
            assert next(open_stream).HasField("list_services_response")
            assert stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status == SERVING
            requests.put(None)
            for watch in watches:
                watch.cancel()


def test_reflection_lists_the_services(channel: grpc.Channel) -> None:
    assert list_services(channel) == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    }


def test_reflection_describes_a_service_with_all_that_it_needs(channel: grpc.Channel) -> None:
    from google.protobuf import descriptor_pb2, descriptor_pool

    response = ask(channel, file_containing_symbol="tensorflow.serving.PredictionService")
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(data)
        for data in response.file_descriptor_response.file_descriptor_proto
    ]
    pool, left = descriptor_pool.DescriptorPool(), {file.name: file for file in files}

    def add(name: str) -> None:
        file = left.pop(name, None)
        if file is not None:
            for needed in file.dependency:
                add(needed)
            pool.Add(file)

    for file in files:
        add(file.name)
    methods = pool.FindServiceByName("tensorflow.serving.PredictionService").methods_by_name
    assert set(methods) == {"Classify", "Regress", "Predict", "MultiInference", "GetModelMetadata"}
    assert "inputs" in methods["Predict"].input_type.fields_by_name


def test_reflection_does_not_know_other_symbols(channel: grpc.Channel) -> None:
    response = ask(channel, file_containing_symbol="tensorflow.serving.Nope")
    assert response.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_reflection_answers_by_its_newer_name_too(channel: grpc.Channel) -> None:
    call = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    (response,) = call(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=10)
    assert "tensorflow.serving.PredictionService" in {
        service.name for service in response.list_services_response.service
    }


def _with(options: ServerOptions, **changes: Any) -> ServerOptions:
    from dataclasses import replace

    return replace(options, ports=PortOptions(**changes))
