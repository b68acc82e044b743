"""Measures a version behind a server: start, memory, latency by size of a request, throughput by number of clients."""

import json
import math
import os
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.checks import to_path
from tfchain.core.errors import InputError, ServerError
from tfchain.core.native import NATIVE_FOLDER
from tfchain.core.signatures import EMBED, EMBED_QUERY, SERVING_DEFAULT, TOKENIZE, TOKENIZE_QUERY
from tfchain.deployment.capacity.load_clients import LEAST_ANSWERS, Answers, Endpoint, LoadClients
from tfchain.deployment.capacity.measurement import BatchLatency, IndexPoint, Load, Measurement
from tfchain.deployment.capacity.served_version import serve_version
from tfchain.deployment.capacity.server_process import ServerProcess, describe_processor, machine_memory_mb
from tfchain.deployment.capacity.workload import Row, Workload, make_workload, read_workload, widen_workload
from tfchain.deployment.deploy import SERVER
from tfchain.deployment.repository import read_description

MOST_BATCH = 128
MOST_CLIENTS = 64
LEAST_LARGEST = 8  # curves go on to here, if there is time: on a busy machine, a point may look flat by accident
GAIN = 1.05  # a curve has flattened when doubling twice gains less than this
POINTS = 30  # a measurement takes about as long as so many points of its curves
CLIENTS_END = 0.6  # of the time: when each curve is to have ended
BATCHES_END = 0.9
SHARE_ALONE = 4.0  # points: the service times of a client alone, whose tail plans rest on
SHARE_RESTED = 4.0  # points: those with pauses
PAUSE = 2.0  # the mean pause, in service times: the server is busy for a third of the time, as many are
UNDISTURBED = 0.1  # the quantile by which sizes of the index are compared: other programs disturb it least
PERCENTILES = (50, 90, 95, 99, 100)
NUM_QUANTILES = 201


@dataclass(frozen=True)
class ServerUnderTest:
    """A server that is being measured.

    Args:
        endpoint: Where it answers.
        process: Its process; None for a server elsewhere.
        seconds: How long the measurement may take.
        begin: When it began, on `time.monotonic`'s clock.
    """

    endpoint: Endpoint
    process: ServerProcess | None
    seconds: float
    begin: float

    @property
    def point_seconds(self) -> float:
        """How long a point of a curve takes."""
        return self.seconds / POINTS

    def is_late(self, share: float) -> bool:
        """Whether another point would take more than a share of the time."""
        return time.monotonic() + self.point_seconds > self.begin + share * self.seconds

    def ask(
        self, workload: Workload, *, batch_size: int = 1, clients: int = 1, points: float = 1.0
    ) -> tuple[Answers, float]:
        """Lets clients ask.

        Args:
            workload: What they ask.
            batch_size: The questions of a request. Default: 1.
            clients: How many ask at the same time. Default: 1.
            points: How long, in points of a curve. Default: 1.

        Returns:
            The answers, and the server's processor time for each, in ms; 0 for a server elsewhere.
        """
        with LoadClients(self.endpoint, clients, workload.make_bodies(batch_size)) as connected:
            begin = 0.0 if self.process is None else self.process.processor_seconds()
            answers = connected.ask_again(points * self.point_seconds)
            used = 0.0 if self.process is None else self.process.processor_seconds() - begin
        return answers, 1000 * used / len(answers.latencies_ms)

    def ask_after_pauses(self, workload: Workload, mean_pause: float, *, points: float) -> Answers:
        """Lets one client ask, with random pauses.

        Args:
            workload: What it asks.
            mean_pause: The mean pause, in seconds; pauses are exponentially distributed, as those of random traffic.
            points: How long, in points of a curve.
        """
        count = max(LEAST_ANSWERS, int(points * self.point_seconds / (mean_pause * (1 + 1 / PAUSE))))
        pauses = np.random.default_rng(0).exponential(mean_pause, count)
        with LoadClients(self.endpoint, 1, workload.make_bodies(1)) as client:
            return client.ask_after(pauses.tolist())


def measure_version(
    version_path: Path | str,
    *,
    engine: str = "auto",
    texts: Sequence[str | Row] | None = None,
    signature: str | None = None,
    seconds: float = 30.0,
    url: str | None = None,
    program: str = SERVER,
    workers: int = 1,
) -> Measurement:
    """Measures a version behind a server: the embedded one in a process of its own, or one that runs already.

    It is asked by one client with requests of 1, 2, 4, … texts, and by 1, 2, 4, … clients at the same time, until that
    gains nothing. The clients run in this process, on the same cores as an embedded server, and take a little of them.
    Other programs on the machine make a server look slow: `Measurement.machine_load` says how busy it was.

    Args:
        version_path: The version's folder.
        engine: What answers in the embedded server, as in `deploy`. Default: the first of native, litert and tensorflow
            that can; native needs `program`.
        texts: What to ask: texts, or dicts with the inputs of a question. They should be like those of real users, as
            time grows with length. Default: the version's warm-up texts and the beginnings of the documents they find.
        signature: The signature to ask. Default: `serving_default`, or the task's own.
        seconds: About how long the measurement may take, without the server's start. Default: 30.
        url: The REST address of the model in a running TensorFlow Serving, stock or embedded, such as
            `http://127.0.0.1:8501/v1/models/docs`. Its memory, cores and processor time stay unknown. Default: start a
            server.
        program: The embedded server's module. Default: one without a native engine, which
            `tfchain.chains.model_server` has.
        workers: The embedded server's processes. Default: 1.

    Returns:
        The measurement; `write_measurement` keeps it beside the version.

    Raises:
        InputError: if an argument is not valid, or the version has no texts and none are given.
        ServerError: if the server does not start, or answers with an error.
    """
    version_path = to_path("version_path", version_path)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise InputError(f"`seconds` must be a positive number. Received: seconds={seconds!r}.", argument="seconds")
    if not (version_path / "saved_model.pb").is_file():
        raise InputError(f"Expected a version, a folder with a saved_model.pb. Received: {version_path}.")
    if texts is None:
        asked = read_workload(version_path, signature=signature)
    else:
        asked = make_workload(texts, signature=signature or SERVING_DEFAULT)
    load = os.getloadavg()[0]
    if url is not None:
        server = ServerUnderTest(Endpoint(url), None, seconds, time.monotonic())
        return replace(_measure(server, asked, version_path, is_own=texts is None), machine_load=load)
    with serve_version(version_path, engine=engine, program=program, workers=workers) as served:
        server = ServerUnderTest(Endpoint(served.url), served.process, seconds, time.monotonic())
        measured = _measure(server, asked, version_path, is_own=texts is None)
        if measured.documents is not None:  # what that size holds, once it was asked
            last = replace(measured.index_points[-1], memory_mb=served.process.memory_mb())
            measured = replace(measured, index_points=(*measured.index_points[:-1], last))
        return replace(
            measured,
            engine=served.engine,
            start_seconds=served.start_seconds,
            memory_mb=served.memory_mb,
            peak_memory_mb=served.process.peak_memory_mb(),
            joins_requests=served.engine != "native",
            machine_load=load,
        )


def _measure(server: ServerUnderTest, asked: Workload, version_path: Path, *, is_own: bool) -> Measurement:
    """Measures what every server shows, and leaves out what only the process of an embedded one does."""
    description = read_description(version_path)
    if is_own:
        asked = widen_workload(asked, _find_documents(server, asked))
    server.ask(asked)  # a server's first answers take longer, with warm-up records too
    alone, alone_ms = server.ask(asked, points=SHARE_ALONE)
    rested = server.ask_after_pauses(asked, PAUSE * float(alone.latencies_ms.mean()) / 1000, points=SHARE_RESTED)
    loads = _measure_clients(server, asked, alone, alone_ms)
    batches = _measure_batches(server, asked, alone, alone_ms)
    documents = description.get("documents")
    documents = documents if isinstance(documents, int) and documents > 0 else None
    points = []
    if documents is not None:
        points = _measure_encoder(server, asked, loads, description.get("signatures", ()))
        best = max(loads, key=lambda entry: entry.per_second)
        latency = alone.quantile(UNDISTURBED)
        points.append(IndexPoint(documents, latency, alone_ms, best.per_second, best.processor_ms))
    return Measurement(
        processor=describe_processor(),
        cores=len(os.sched_getaffinity(0)),
        engine=f"server at {server.endpoint.url}",
        batch_latencies=batches,
        token_lengths=_measure_tokens(server, asked),
        start_seconds=0.0,
        memory_mb=0.0,
        peak_memory_mb=0.0,
        size_mb=_find_size_mb(version_path),
        documents=documents,
        measured_on=datetime.now(UTC).isoformat(timespec="seconds"),
        signature=asked.signature,
        service_times_ms=_find_quantiles(alone),
        rested_times_ms=_find_quantiles(rested),
        loads=loads,
        index_points=tuple(points),
        index_mb=_find_size_mb(version_path / NATIVE_FOLDER / "index"),
        answer_bytes=alone.exchanged_bytes // len(alone.latencies_ms),
        machine_memory_mb=machine_memory_mb(),
    )


def _measure_clients(server: ServerUnderTest, asked: Workload, alone: Answers, alone_ms: float) -> tuple[Load, ...]:
    first = Load(1, alone.per_second, alone.quantile(0.5), alone.quantile(0.99), alone_ms)

    def measure(clients: int) -> Load:
        answers, processor_ms = server.ask(asked, clients=clients)
        return Load(clients, answers.per_second, answers.quantile(0.5), answers.quantile(0.99), processor_ms)

    return _grow(server, first, measure, lambda entry: entry.per_second, MOST_CLIENTS, CLIENTS_END)


def _measure_batches(
    server: ServerUnderTest, asked: Workload, alone: Answers, alone_ms: float
) -> tuple[BatchLatency, ...]:
    first = BatchLatency(1, alone.quantile(0.5), alone.quantile(0.99), alone_ms)

    def measure(size: int) -> BatchLatency:
        answers, processor_ms = server.ask(asked, batch_size=size)
        return BatchLatency(size, answers.quantile(0.5), answers.quantile(0.99), processor_ms)

    return _grow(server, first, measure, lambda entry: entry.texts_per_second, MOST_BATCH, BATCHES_END)


def _grow(
    server: ServerUnderTest,
    first: Any,
    measure: Callable[[int], Any],
    rate: Callable[[Any], float],
    most: int,
    end: float,
) -> tuple[Any, ...]:
    """Measures 2, 4, 8, … until the rate has flattened or a share of the time is over; 2 in any case."""
    entries, best, flat, size = [first], rate(first), 0, 2
    while size <= most and (flat < 2 or size <= LEAST_LARGEST) and (size == 2 or not server.is_late(end)):
        entries.append(measure(size))
        flat = 0 if rate(entries[-1]) > GAIN * best else flat + 1
        best, size = max(best, rate(entries[-1])), 2 * size
    return tuple(entries)


def _measure_encoder(
    server: ServerUnderTest, asked: Workload, loads: Sequence[Load], signatures: Sequence[str]
) -> list[IndexPoint]:
    """Measures the encoder alone, which is a search of no documents; nothing if the version does not have it."""
    signature = next((name for name in (EMBED_QUERY, EMBED) if name in signatures), None)
    if signature is None or {name for row in asked.rows for name in row} != {"text"}:
        return []
    questions = asked.with_signature(signature)
    answers, processor_ms = server.ask(questions, points=2)
    busiest = max(loads, key=lambda entry: entry.per_second)
    many, busy_ms = server.ask(questions, clients=busiest.clients)
    best = max(answers.per_second, many.per_second)
    return [IndexPoint(0, answers.quantile(UNDISTURBED), processor_ms, best, busy_ms)]


def _find_quantiles(answers: Answers) -> tuple[float, ...]:
    return tuple(np.quantile(answers.latencies_ms, np.linspace(0, 1, NUM_QUANTILES)).round(4).tolist())


def _find_size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def _measure_tokens(server: ServerUnderTest, asked: Workload) -> dict[int, int]:
    """Counts the tokens of the texts, in the version's own tokenizer; empty if it does not tokenize single texts."""
    if {name for row in asked.rows for name in row} != {"text"}:
        return {}
    for signature in (TOKENIZE_QUERY, TOKENIZE):
        try:
            found = [_post(server.endpoint, signature, [row]) for row in asked.rows]
            counts = [sum(answer["predictions"][0]["padding_mask"]) for answer in found]
        except (ServerError, KeyError, TypeError, IndexError):
            continue
        return {percent: int(np.percentile(counts, percent, method="higher")) for percent in PERCENTILES}
    return {}


def _find_documents(server: ServerUnderTest, asked: Workload) -> list[str]:
    """Returns texts of documents that the version's own texts find; none if it does not search."""
    found: list[str] = []
    for row in asked.rows:
        answer = _post(server.endpoint, asked.signature, [row])
        predictions = answer.get("predictions") or [{}]
        texts = predictions[0].get("texts", []) if isinstance(predictions[0], dict) else []
        found += [text for text in texts if isinstance(text, str)]
    return list(dict.fromkeys(found))


def _post(endpoint: Endpoint, signature: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Asks once, and returns the answer's values."""
    body = json.dumps({"signature_name": signature, "instances": [dict(row) for row in rows]}).encode()
    headers = {"Content-Type": "application/json", **dict(endpoint.headers)}
    request = urllib.request.Request(f"{endpoint.url.rstrip('/')}:predict", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=endpoint.timeout_seconds, context=endpoint.context) as answer:
            values = json.loads(answer.read())
    except (OSError, ValueError) as error:  # urllib's errors are OSErrors
        raise ServerError(f"The server at {endpoint.url} did not answer {signature!r}: {error}.") from error
    return values if isinstance(values, dict) else {}
