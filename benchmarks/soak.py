"""A server under load for a long time: good clients, rude ones, and a new version every ten seconds.

Run: .venv/bin/python benchmarks/soak.py [--seconds 1200] [--reload 10] [--clients 2]
The server is a process with a small model. Good clients ask over REST and gRPC; others hang up in the middle of a
request or an answer, read and send slowly, or send broken bodies. Reports failed good requests, latencies, and the
server's memory, threads and files at the beginning (after a warm-up of a tenth of the time) and the end. Exit code 1 if
a good request failed, if the server was not there at the end, or if its memory grew by more than --most-mb.
"""

import argparse
import http.client
import json
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
BODY = b'{"instances": [[1, 2]]}'
PATH = "/v1/models/m:predict"
PAUSE_SECONDS = 0.005  # between a client's requests, so that the machine is busy but not full


@dataclass
class Report:
    """What the clients saw.

    Args:
        seconds: Protocol → the latencies of good requests.
        failures: The good requests that failed, in words.
        rude: Kind of rude client → how often.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"REST": [], "gRPC": []})
    failures: list[str] = field(default_factory=list)
    rude: dict[str, int] = field(default_factory=dict)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--reload", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--most-mb", type=float, default=64.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tfchain-soak-") as folder:
        return soak(Path(folder), arguments)


def soak(folder: Path, arguments: argparse.Namespace) -> int:
    """Runs server and clients, and returns the exit code."""
    from tools.fuzz.versions import write_version

    write_version(folder / "good")
    shutil.copytree(folder / "good", folder / "m" / "1")
    rest_port, grpc_port = free_port(), free_port()
    command = [
        sys.executable,
        "-m",
        "tfchain.deployment.server.main",
        "--model_name=m",
        f"--model_base_path={folder}/m",
    ]
    command += [f"--port={grpc_port}", f"--rest_api_port={rest_port}", "--host=127.0.0.1"]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(command, cwd=ROOT, stderr=log)
    report, stop = Report(), threading.Event()
    try:
        wait_until_ready(process, rest_port)
        tasks: list[Callable[[], None]] = [lambda: reload(folder, stop, arguments.reload)]
        tasks += [lambda: ask_rest(rest_port, stop, report)] * arguments.clients
        tasks += [lambda: ask_grpc(grpc_port, stop, report)] * arguments.clients
        tasks += [lambda: be_rude(rest_port, grpc_port, stop, report)]
        threads = [threading.Thread(target=task, daemon=True) for task in tasks]
        for thread in threads:
            thread.start()
        stop.wait(arguments.seconds / 10)
        before = read_gauges(rest_port)
        stop.wait(arguments.seconds * 0.9)
        after = read_gauges(rest_port)
        stop.set()
        for thread in threads:
            thread.join(30)
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        versions = sum(1 for child in (folder / "m").iterdir() if child.name.isdigit())
    finally:
        if process.poll() is None:
            process.kill()
        log.close()
    return write_report(report, before, after, versions, code, arguments)


def write_report(
    report: Report, before: dict[str, float], after: dict[str, float], versions: int, code: int, arguments: Any
) -> int:
    """Prints the report, and returns the exit code."""
    print(f"{arguments.seconds:.0f} s, {versions - 1} reloads; rude clients: {report.rude}")
    for protocol, seconds in report.seconds.items():
        ordered = sorted(seconds)
        print(
            f"{protocol}: {len(seconds)} answers, median {1000 * statistics.median(ordered):.1f} ms, "
            f"p99 {1000 * ordered[int(len(ordered) * 0.99)]:.1f} ms, slowest {1000 * ordered[-1]:.0f} ms"
        )
    for name in before:
        print(f"{name}: {before[name]:.0f} → {after[name]:.0f}")
    print(f"failed good requests: {len(report.failures)} {report.failures[:5]}; exit code of the server: {code}")
    growth = after["memory (MB)"] - before["memory (MB)"]
    return 1 if report.failures or code or growth > arguments.most_mb else 0


def reload(folder: Path, stop: threading.Event, seconds: float) -> None:
    """Writes a new version again and again."""
    version = 1
    while not stop.wait(seconds):
        version += 1
        shutil.copytree(folder / "good", folder / "m" / "partial")
        (folder / "m" / "partial").rename(folder / "m" / str(version))


def ask_rest(port: int, stop: threading.Event, report: Report) -> None:
    """Asks over one connection for a while, then over another."""
    while not stop.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            for number in range(200):  # each with an answer of its own, so that another's is noticed
                start = time.perf_counter()
                connection.request("POST", PATH, b'{"instances": [[%d, 2]]}' % number)
                response = connection.getresponse()
                text = response.read()
                report.seconds["REST"].append(time.perf_counter() - start)
                if (response.status, text) != (200, b'{\n    "predictions": [[%d.0]\n    ]\n}' % (number + 20)):
                    report.failures.append(f"REST: {response.status} {text[:100]!r}")
                if stop.wait(PAUSE_SECONDS):
                    break
        except Exception as error:
            report.failures.append(f"REST: {error!r}")
        connection.close()


def ask_grpc(port: int, stop: threading.Event, report: Report) -> None:
    """Asks over one channel for a while, then over another."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["x"].dtype = 1
    request.inputs["x"].float_val.extend([1.0, 2.0])
    for size in (1, 2):
        request.inputs["x"].tensor_shape.dim.add(size=size)
    while not stop.is_set():
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for number in range(200):
                start = time.perf_counter()
                request.inputs["x"].float_val[0] = number
                try:
                    values = list(stub.Predict(request, timeout=30 + number / 7).outputs["y"].float_val)
                except grpc.RpcError as error:
                    report.failures.append(f"gRPC: {error.code().name} {error.details()}")
                    continue
                report.seconds["gRPC"].append(time.perf_counter() - start)
                if values != [number + 20.0]:
                    report.failures.append(f"gRPC: {values}")
                if stop.wait(PAUSE_SECONDS):
                    break


def be_rude(rest_port: int, grpc_port: int, stop: threading.Event, report: Report) -> None:
    """Does to the ports, one after the other, what they must bear."""
    random = Random(1)
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (PATH.encode(), len(BODY))
    many = b'{"instances": [' + b"[1, 2], " * 50_000 + b"[1, 2]]}"
    large = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (PATH.encode(), len(many)) + many
    held: list[socket.socket] = []
    while not stop.wait(0.02):
        kind = random.choice(
            ("hangs up", "hangs up in an answer", "is slow", "broken body", "no HTTP", "no gRPC", "idle")
        )
        report.rude[kind] = report.rude.get(kind, 0) + 1
        with socket.create_connection(
            ("127.0.0.1", grpc_port if kind == "no gRPC" else rest_port), timeout=30
        ) as stream:
            try:
                if kind == "hangs up":
                    stream.sendall((head + BODY)[: random.randint(1, len(head))])
                elif kind == "hangs up in an answer":
                    stream.sendall(large)
                    stream.recv(100)
                elif kind == "is slow":
                    for byte in head + BODY:
                        stream.sendall(bytes([byte]))
                    stream.recv(10)
                elif kind == "broken body":
                    stream.sendall(head + random.randbytes(len(BODY)))
                    stream.recv(1000)
                elif kind == "idle":
                    held.append(stream.dup())
                    if len(held) > 50:
                        held.pop(0).close()
                else:
                    stream.sendall(random.randbytes(random.randint(1, 500)))
                if kind.startswith("hangs up"):
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                continue  # the server may refuse such a client at any point


def read_gauges(port: int) -> dict[str, float]:
    """Reads memory, threads and open files of the server from its metrics."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("process_"))
    return {
        "memory (MB)": float(values["process_resident_memory_bytes"]) / 2**20,
        "threads": float(values["process_threads"]),
        "files": float(values["process_open_fds"]),
    }


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    """Waits until the server answers."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/ready")
            if json.loads(connection.getresponse().read())["status"] == "ready":
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server does not start")


def free_port() -> int:
    """Returns a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
