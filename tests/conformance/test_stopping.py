"""A server that stops while clients ask over both protocols: what it has taken is answered, the rest refused."""

import http.client
import threading
import time
from pathlib import Path
from typing import Any

import grpc

from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions

PREDICT = "/v1/models/hpt:predict"


def test_a_server_that_stops_under_load_loses_no_request(base_path: Path) -> None:
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    server = ModelServer(ServerOptions("hpt", base_path, host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0))
    server.start()
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "hpt"
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=1)
    request.inputs["x"].float_val.append(1.0)
    answered = {"rest": [0] * 3, "grpc": [0] * 3}
    ends: list[str] = []

    def ask_rest(place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=10)
        try:
            while True:
                connection.request("POST", PREDICT, b'{"instances": [1]}')
                response = connection.getresponse()
                assert (response.status, response.read()) == (200, b'{\n    "predictions": [2.5\n    ]\n}')
                answered["rest"][place] += 1
        except Exception as error:
            ends.append(type(error).__name__)

    def ask_grpc(place: int) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            stub: Any = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            try:
                while True:
                    assert stub.Predict(request, timeout=10).outputs["y"].float_val == [2.5]
                    answered["grpc"][place] += 1
            except grpc.RpcError as error:
                ends.append(error.code().name)

    threads = [threading.Thread(target=ask, args=(place,)) for ask in (ask_rest, ask_grpc) for place in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while min(answered["rest"] + answered["grpc"]) < 20:
        assert time.monotonic() < deadline, (answered, ends)
        time.sleep(0.005)
    server.close()
    for thread in threads:
        thread.join(15)
    assert sorted(ends) == ["ConnectionRefusedError"] * 3 + ["UNAVAILABLE"] * 3
    counted = server.metrics.requests.labels("hpt", "OK").value
    assert counted == sum(answered["rest"] + answered["grpc"])  # nothing was computed and not delivered
