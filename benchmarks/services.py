"""The measures on servers: text to top 10 over REST and gRPC, alone and with 16 clients; start-up and memory."""

import http.client
import json
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from engines import REFERENCE, TFCHAIN, Worker, end_process, last_lines, quiet_environment
from material import HERE, Material
from measures import DOCUMENTS_A_TURN, PAUSE_SECONDS, file_name, load_vectors, rotated, slices, vectors_path

FASTAPI = "FastAPI + sentence-transformers + FAISS"
TFCHAIN_REST = "tfchain, REST"
TFCHAIN_GRPC = "tfchain, gRPC"
CLIENTS = (1, 16)
REQUESTS_A_TURN = {1: 100, 16: 200}
READY_SECONDS = 120.0
MODEL_NAME = "search"

Search = Callable[[str], list[str]]


def measure_services(names: Sequence[str], material: Material, *, turns: int, repeats: int) -> dict[str, Any]:
    """Starts the servers and lets clients take turns with them.

    Returns:
        `load`: server → clients → median, p95 (ms) and requests a second; `startup`: seconds until the first answer;
        `memory`: peak megabytes; `agreement`: share of hits that are FastAPI's too.
    """
    commands = server_commands(names, material)
    startup: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats - 1):
        for name, command in commands.items():
            with running(name, command, material) as (_, _, seconds):
                startup[name].append(seconds)
    with ExitStack() as stack:
        targets: dict[str, Callable[[], Search]] = {}
        processes = {}
        for name, command in commands.items():
            process, ports, seconds = stack.enter_context(running(name, command, material))
            processes[name] = process
            startup[name].append(seconds)
            targets |= connectors(name, ports)
        load = measure_load(targets, material.queries, turns)
        agreement = compare_hits(targets, material.queries[:100])
        memory = {name: peak_memory(process.pid) for name, process in processes.items()}
    medians = {name: statistics.median(values) for name, values in startup.items()}
    return {"load": load, "startup": medians, "memory": memory, "agreement": agreement}


def server_commands(names: Sequence[str], material: Material) -> dict[str, Callable[[Sequence[int]], list[Any]]]:
    """How to start each server on given ports; prepares what they answer from."""
    commands: dict[str, Callable[[Sequence[int]], list[Any]]] = {}
    if REFERENCE in names:
        vectors = material.work / "index.npy"
        np.save(vectors, document_vectors(material))
        script = HERE / "servers" / "fastapi_server.py"
        commands[FASTAPI] = lambda ports: [
            material.peers, script, material.model, vectors, material.documents_path, str(ports[0])
        ]  # fmt: skip
    if TFCHAIN in names:
        base_path = material.work / MODEL_NAME
        with Worker(TFCHAIN, material) as worker:
            worker.ask("export", documents=str(material.documents_path), folder=str(base_path))
        commands[TFCHAIN] = lambda ports: [
            material.python.parent / "tfchain-model-server",
            f"--rest_api_port={ports[0]}",
            f"--port={ports[1]}",
            f"--model_name={MODEL_NAME}",
            f"--model_base_path={base_path}",
        ]
    return commands


def document_vectors(material: Material) -> np.ndarray:
    """sentence-transformers' vectors of the documents: those of the bulk measure, where it ran."""
    if not list(material.work.glob(f"{file_name(REFERENCE)}-bulk-*.npy")):
        with Worker(REFERENCE, material) as worker:
            for turn, texts in enumerate(slices(material.texts, DOCUMENTS_A_TURN)):
                path = vectors_path(material.work, REFERENCE, "bulk", turn)
                worker.ask("encode_slice", texts=texts, save=path)
    return load_vectors(material.work, REFERENCE, "bulk")


@contextmanager
def running(
    name: str, command: Callable[[Sequence[int]], list[Any]], material: Material
) -> Iterator[tuple[subprocess.Popen[bytes], list[int], float]]:
    """A server that answers; yields its process, its ports and the seconds it took to its first answer."""
    ports = free_ports(2)
    log_path = material.work / f"server-{name.split(' ')[0]}.log"
    with log_path.open("a", encoding="utf-8") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command(ports), stdout=log, stderr=log, env=quiet_environment())
    try:
        connect = next(iter(connectors(name, ports).values()))
        while True:
            if process.poll() is not None or time.perf_counter() - start > READY_SECONDS:
                raise SystemExit(f"The server {name} does not answer. Its last words:\n{last_lines(log_path)}")
            try:
                connect()(material.queries[0])
                break
            except (OSError, http.client.HTTPException, RuntimeError):
                time.sleep(0.02)
        yield process, ports, time.perf_counter() - start
    finally:
        end_process(process)


def connectors(name: str, ports: Sequence[int]) -> dict[str, Callable[[], Search]]:
    """For each protocol of a server, what opens a connection and returns a search: text in, ids out."""
    if name == FASTAPI:
        return {FASTAPI: lambda: connect_rest(ports[0], "/search", lambda text: {"text": text}, lambda answer: answer)}
    return {
        TFCHAIN_REST: lambda: connect_rest(
            ports[0],
            f"/v1/models/{MODEL_NAME}:predict",
            lambda text: {"instances": [{"text": text}]},
            lambda answer: answer["predictions"][0],
        ),
        TFCHAIN_GRPC: lambda: connect_grpc(ports[1]),
    }


def connect_rest(
    port: int, path: str, to_body: Callable[[str], dict[str, Any]], to_hits: Callable[[dict[str, Any]], dict[str, Any]]
) -> Search:
    """A connection that is kept alive, as a client library would."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def search(text: str) -> list[str]:
        connection.request("POST", path, json.dumps(to_body(text)), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} answered {response.status}: {body[:300]!r}")
        return to_hits(json.loads(body))["ids"]

    return search


def connect_grpc(port: int) -> Search:
    """A channel of its own, on tensorflow-serving-api's stubs."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    options = [("grpc.use_local_subchannel_pool", 1)]  # else all channels to a port share one connection
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(f"127.0.0.1:{port}", options))

    def search(text: str) -> list[str]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = MODEL_NAME
        tensor = request.inputs["text"]
        tensor.dtype = 7  # DT_STRING
        tensor.tensor_shape.dim.add().size = 1
        tensor.string_val.append(text.encode())
        return [value.decode() for value in stub.Predict(request, timeout=60).outputs["ids"].string_val]

    return search


def measure_load(
    targets: dict[str, Callable[[], Search]], queries: Sequence[str], turns: int
) -> dict[str, dict[int, dict[str, float]]]:
    """Closed loop: each client sends its next query when it has the answer to the last."""
    times: dict[tuple[str, int], list[float]] = {}
    seconds: dict[tuple[str, int], float] = {}
    for turn in range(turns):
        for clients in CLIENTS:
            texts = [queries[(turn * 61 + index) % len(queries)] for index in range(REQUESTS_A_TURN[clients])]
            for name in rotated(list(targets), turn):
                milliseconds, wall = run_clients(targets[name], texts, clients)
                times.setdefault((name, clients), []).extend(milliseconds)
                seconds[name, clients] = seconds.get((name, clients), 0.0) + wall
                time.sleep(PAUSE_SECONDS)
    return {
        name: {
            clients: {
                "median": statistics.median(times[name, clients]),
                "p95": float(np.percentile(times[name, clients], 95)),
                "per_second": len(times[name, clients]) / seconds[name, clients],
            }
            for clients in CLIENTS
        }
        for name in targets
    }


def run_clients(connect: Callable[[], Search], texts: Sequence[str], clients: int) -> tuple[list[float], float]:
    """Milliseconds of each request, and the seconds of all."""
    milliseconds: list[float] = []
    failures: list[BaseException] = []
    barrier = threading.Barrier(clients + 1)

    def run(own: Sequence[str]) -> None:
        try:
            search = connect()
            search(own[0])  # opens the connection
            barrier.wait(timeout=60)
            for text in own:
                start = time.perf_counter()
                search(text)
                milliseconds.append(1000 * (time.perf_counter() - start))
        except BaseException as error:  # told below, in the thread that waits
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(texts[number::clients],)) for number in range(clients)]
    for thread in threads:
        thread.start()
    with suppress(threading.BrokenBarrierError):
        barrier.wait(timeout=60)
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"A client failed: {failures[0]!r}")
    return milliseconds, time.perf_counter() - start


def compare_hits(targets: dict[str, Callable[[], Search]], queries: Sequence[str]) -> dict[str, float]:
    """The share of each server's hits that the first server found too."""
    answers = {name: [connect()(query) for query in queries] for name, connect in targets.items()}
    first = next(iter(answers.values()))
    return {
        name: sum(len(set(a) & set(b)) for a, b in zip(found, first, strict=True)) / sum(map(len, first))
        for name, found in answers.items()
    }


def peak_memory(pid: int) -> float:
    """The most memory that a process and those that it has started have held, in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    own = int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return own + sum(peak_memory(int(child)) for task in tasks for child in task.read_text(encoding="ascii").split())


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
