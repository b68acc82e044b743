"""The embedded server's HTTP stack beside cheroot, granian and uvicorn: an echo, and queries of a search chain.

Run: .venv/bin/python benchmarks/http_stacks.py [--peers PYTHON] [--turns 3] [--write]
Each stack is a process, asked by turns; clients run on the same cores. With --write, HTTP_STACKS.md is written. PYTHON
is an environment of its own with cheroot, granian, uvicorn, uvloop, httptools, numpy, ml-dtypes, safetensors and
tokenizers, as pip installs them: a chain in int8 answers without TensorFlow.
"""

import argparse
import http.client
import os
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from tfchain.core.atomic import write_file
from tfchain.jobs.local import find_free_ports

HERE = Path(__file__).resolve().parent
STACKS = ("tfchain", "cheroot", "granian", "uvicorn")
ECHO = b'{"instances": ["how do I merge two sorted lists"]}'
QUERY = b'{"query": "how do I merge two sorted lists"}'


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, help="see above")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn of a stack, for each number of clients")
    parser.add_argument("--write", action="store_true", help="write HTTP_STACKS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chain = Path(folder) / "chain"
        make_chain(chain)
        rows = [row for work in ("echo", "query") for row in measure(work, chain, options)]
    text = describe(rows)
    print(text)
    if options.write:
        write_file(HERE / "HTTP_STACKS.md", text)


def make_chain(path: Path) -> None:
    """Saves the small model in int8 with some documents."""
    from tfchain import NeuralSearchChain

    chain = NeuralSearchChain()
    chain.text_encoder = chain.text_encoder.with_precision("int8")
    chain.add([f"Document {number} tells of {word}." for number, word in enumerate(("cats", "stocks", "lists") * 300)])
    chain.save(path)


def measure(work: str, chain: Path, options: argparse.Namespace) -> list[list[str]]:
    """The rows of one kind of work."""
    body = ECHO if work == "echo" else QUERY
    ports = dict(zip(STACKS, find_free_ports(len(STACKS)), strict=True))
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}:{HERE / 'servers'}"}
    folder = [] if work == "echo" else [str(chain)]
    command = [str(options.peers), str(HERE / "servers" / "http_stack.py")]
    servers = [
        subprocess.Popen([*command, stack, str(port), *folder], env=environment) for stack, port in ports.items()
    ]
    try:
        for port in ports.values():
            wait_for(port, body)
        found: dict[tuple[str, int], list[list[float]]] = {}
        for _ in range(options.turns):
            for stack, port in ports.items():
                for clients in (1, 16):
                    found.setdefault((stack, clients), []).append(ask(port, body, clients, options.seconds))
    finally:
        for server in servers:
            server.terminate()
            server.wait()
    rows = []
    for stack in STACKS:
        alone = [value for turn in found[stack, 1] for value in turn]
        many = found[stack, 16]
        rate = statistics.median(len(turn) / options.seconds for turn in many)
        slowest = sorted(value for turn in many for value in turn)
        p99 = slowest[int(0.99 * len(slowest))]
        rows.append([work, stack, f"{statistics.median(alone) * 1e6:.0f}", f"{rate:.0f}", f"{p99 * 1e3:.1f}"])
    return rows


def wait_for(port: int, body: bytes, timeout_seconds: float = 60.0) -> None:
    """Waits until a server answers."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("POST", "/", body)
            connection.getresponse().read()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def ask(port: int, body: bytes, num_clients: int, seconds: float) -> list[float]:
    """Seconds of each answer, of clients that keep their connections and ask again at once."""
    taken: list[list[float]] = [[] for _ in range(num_clients)]
    end = time.perf_counter() + seconds

    def run(mine: list[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while (begin := time.perf_counter()) < end:
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            found = answer.read()
            assert answer.status == 200, found
            mine.append(time.perf_counter() - begin)
        connection.close()

    threads = [threading.Thread(target=run, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [value for mine in taken for value in mine]


def describe(rows: list[list[str]]) -> str:
    """The table as a document."""
    lines = [
        "# The HTTP stack",
        "",
        f"`python benchmarks/http_stacks.py --write`, {time.strftime('%Y-%m-%d')}; {find_processor()},",
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}. Clients in Python on the same cores; their own time",
        "is in the figures.",
        "",
        "| work | stack | one client, µs (median) | 16 clients, answers a second | 16 clients, 99 %, ms |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def find_processor() -> str:
    """The processor's name, and whether it has int8 instructions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
    return f"{name} with AVX-512 VNNI" if any("avx512_vnni" in line for line in lines) else name


if __name__ == "__main__":
    main()
