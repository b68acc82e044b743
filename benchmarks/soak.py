"""A server under load for a long time: good clients, rude ones, and a new version every ten seconds.

Run: .venv/bin/python benchmarks/soak.py [--seconds 1200] [--reload 10] [--clients 2] [--pause 0.005]
The server is a process with a small model. Good clients ask over REST and gRPC; others hang up in the middle of a
request or an answer, read and send slowly, or send broken bodies. Reports failed good requests, latencies, processor
time, and the server's memory, threads and files at the start, after a quarter of the time, and at the end. Exit code 1
if a good request failed, if the server did not end well, or if its memory grew by more than --most-mb after the first
quarter.
"""

import argparse
import http.client
import json
import os
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
    parser.add_argument("--pause", type=float, default=0.005, help="seconds between a client's requests")
    parser.add_argument("--most-mb", type=float, default=64.0)
    parser.add_argument("--end-with", type=int, default=0, metavar="PID", help="end when this process has ended")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through the `finally` below
    with tempfile.TemporaryDirectory(prefix="tfchain-soak-") as folder:
        return soak(Path(folder), arguments)


def soak(folder: Path, arguments: argparse.Namespace) -> int:
    """Runs server and clients, and returns the exit code."""
    make_version = "import sys, pathlib, tools.fuzz.versions as v; v.write_version(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", make_version, folder / "good"], cwd=ROOT, check=True)
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
    parent_end, our_end = os.pipe()  # the server ends when ours is closed, even by `kill -9`
    command += [f"--parent_fd={parent_end}", f"--parent_pid={os.getpid()}"]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(command, cwd=ROOT, stderr=log, pass_fds=[parent_end])
    os.close(parent_end)
    report, stop = Report(), threading.Event()
    try:
        wait_until_ready(process, rest_port)
        tasks: list[Callable[[], None]] = [lambda: reload(folder, stop, arguments.reload)]
        tasks += [lambda: ask_rest(rest_port, stop, report, arguments.pause)] * arguments.clients
        tasks += [lambda: ask_grpc(grpc_port, stop, report, arguments.pause)] * arguments.clients
        tasks += [lambda: be_rude(rest_port, grpc_port, stop, report, 4 * arguments.pause)]
        threads = [threading.Thread(target=task, daemon=True) for task in tasks]
        for thread in threads:
            thread.start()
        gauges = [read_gauges(rest_port)]
        for share in (0.25, 0.75):
            wait(arguments.seconds * share, arguments.end_with)
            gauges.append(read_gauges(rest_port))
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
        os.close(our_end)
    if code:
        print((folder / "log").read_text(errors="replace")[-10_000:], file=sys.stderr)  # what it said last
    return write_report(report, gauges, versions, code, arguments)


def wait(seconds: float, process_id: int) -> None:
    """Waits; raises if a process ends meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if process_id and not Path(f"/proc/{process_id}").exists():
            raise SystemExit(f"process {process_id} has ended")
        time.sleep(min(left, 1.0))


def write_report(report: Report, gauges: list[dict[str, float]], versions: int, code: int, arguments: Any) -> int:
    """Prints the report, and returns the exit code."""
    print(f"{arguments.seconds:.0f} s, {versions - 1} reloads; rude clients: {report.rude}")
    for protocol, seconds in report.seconds.items():
        ordered = sorted(seconds)
        print(
            f"{protocol}: {len(seconds)} answers, median {1000 * statistics.median(ordered):.1f} ms, "
            f"p99 {1000 * ordered[int(len(ordered) * 0.99)]:.1f} ms, slowest {1000 * ordered[-1]:.0f} ms"
        )
    for name in gauges[0]:
        print(f"{name}: {' → '.join(f'{gauge[name]:.0f}' for gauge in gauges)}")
    used = os.times()
    clients, server = used.user + used.system, used.children_user + used.children_system
    print(f"processor time: {clients:.0f} s of the clients, {server:.0f} s of the server and of writing its model")
    print(f"failed good requests: {len(report.failures)} {report.failures[:5]}; exit code of the server: {code}")
    growth = gauges[2]["memory (MB)"] - gauges[1]["memory (MB)"]
    return 1 if report.failures or code or growth > arguments.most_mb else 0


def reload(folder: Path, stop: threading.Event, seconds: float) -> None:
    """Writes a new version again and again."""
    version = 1
    while not stop.wait(seconds):
        version += 1
        shutil.copytree(folder / "good", folder / "m" / "partial")
        (folder / "m" / "partial").rename(folder / "m" / str(version))


def ask_rest(port: int, stop: threading.Event, report: Report, pause: float) -> None:
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
                if stop.wait(pause):
                    break
        except Exception as error:
            report.failures.append(f"REST: {error!r}")
        connection.close()


def ask_grpc(port: int, stop: threading.Event, report: Report, pause: float) -> None:
    """Asks over one channel for a while, then over another."""
    import grpc

    from tfchain.runtime.tf_protos import load_serving_protos

    load_serving_protos()
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
                if stop.wait(pause):
                    break


def be_rude(rest_port: int, grpc_port: int, stop: threading.Event, report: Report, pause: float) -> None:
    """Does to the ports, one after the other, what they must bear."""
    random = Random(1)
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (PATH.encode(), len(BODY))
    many = b'{"instances": [' + b"[1, 2], " * 50_000 + b"[1, 2]]}"
    large = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (PATH.encode(), len(many)) + many
    held: list[socket.socket] = []
    slow: list[tuple[socket.socket, bytearray]] = []  # each sends a byte of its request in a turn of the loop
    while not stop.wait(pause):
        kind = random.choice(
            ("hangs up", "hangs up in an answer", "is slow", "broken body", "no HTTP", "no gRPC", "idle")
        )
        report.rude[kind] = report.rude.get(kind, 0) + 1
        for stream, left in list(slow):
            if not send_a_byte(stream, left):
                slow.remove((stream, left))
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
                    slow.append((stream.dup(), bytearray(head + BODY)))
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


def send_a_byte(stream: socket.socket, left: bytearray) -> bool:
    """Sends the next byte of a slow client's request, and reads the answer after the last; False at the end."""
    try:
        stream.sendall(left[:1])
        del left[:1]
        if left:
            return True
        stream.recv(1000)
    except OSError:
        pass  # the server may refuse such a client at any point
    stream.close()
    return False


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
