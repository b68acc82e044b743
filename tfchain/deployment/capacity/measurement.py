"""What was measured of a version behind a server on one machine, and its file beside the version."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.atomic import write_json
from tfchain.core.checks import check_known_settings, check_whole_number
from tfchain.core.errors import InputError, TfchainError

MEASUREMENT = "assets.extra/measurement.json"  # in a version's folder, which servers do not read
FORMAT = 1
TEXTS = ("processor", "engine", "measured_on", "signature")
SWITCHES = ("joins_requests",)
MAY_BE_NONE = ("documents", "memory_mb")


@dataclass(frozen=True)
class BatchLatency:
    """Requests of one size, one after the other.

    Args:
        batch_size: The texts of a request.
        latency_ms: The median time to the answer.
        p99_ms: The time in which 99 of 100 answers came; the longest, of fewer than 100.
        processor_ms: The server's processor time for a request.
    """

    batch_size: int
    latency_ms: float
    p99_ms: float
    processor_ms: float

    @property
    def texts_per_second(self) -> float:
        """Texts that one client gets answered in a second with requests of this size."""
        return 1000 * self.batch_size / self.latency_ms


@dataclass(frozen=True)
class Load:
    """Clients that ask for one text, and ask again as soon as they have the answer.

    Args:
        clients: How many ask at the same time.
        per_second: Answers a second, of all clients together.
        latency_ms: The median time to an answer.
        p99_ms: The time in which 99 of 100 answers came.
        processor_ms: The server's processor time for an answer.
    """

    clients: int
    per_second: float
    latency_ms: float
    p99_ms: float
    processor_ms: float


@dataclass(frozen=True)
class IndexPoint:
    """The cost of one text by the size of the index.

    Args:
        documents: The documents searched; 0 for the encoder alone.
        latency_ms: The time in which a tenth of the answers came: other programs disturb it less than the median, and
            sizes are compared by it.
        processor_ms: The server's processor time for an answer.
        per_second: The most answers a second, with as many clients as that takes.
        busy_ms: The server's processor time for an answer then; 0 if unknown.
        memory_mb: The server's memory after it was asked, in MB; None if that size had no server of its own.
    """

    documents: int
    latency_ms: float
    processor_ms: float
    per_second: float
    busy_ms: float = 0.0
    memory_mb: float | None = None


@dataclass(frozen=True)
class Measurement:
    """A version as measured behind a server. Times hold for this processor, these cores and this engine alone.

    Args:
        processor: The processor's name.
        cores: The cores that the server may use.
        engine: What answered: `tensorflow`, `litert` or `native` of the embedded server, or `server at URL`.
        batch_latencies: One entry per size of a request, smallest first: 1, 2, 4, … until throughput flattens.
        token_lengths: Percentile → tokens of a text, of the texts that were asked; empty if the tokens are unknown.
        start_seconds: From the start of the process to the first answer; 0 for a server that ran already.
        memory_mb: The memory of the server's processes when it is ready (resident set size; what workers share counts
            for each), in MB; 0 if unknown.
        peak_memory_mb: The most that they held, in MB; 0 if unknown.
        size_mb: The size of the version's files, in MB.
        documents: How many documents the version searches; None if it does not search.
        measured_on: The date and time, in ISO 8601.
        signature: The signature that was asked. Default: `serving_default`.
        service_times_ms: The time to the answer to one text from one client, as evenly spaced quantiles: the first is
            the shortest, the last the longest. Default: none.
        rested_times_ms: The same, with a pause before each question, after which processor and threads of the server
            must wake. Default: none, taken to be as long as without pauses.
        loads: One entry per number of clients, fewest first. Default: none.
        index_points: One entry per size of the index, smallest first. Default: none.
        answer_bytes: The bytes of a request and its answer for one text. Default: 0, unknown.
        index_mb: The size of the files of documents and vectors, in MB. Default: 0, unknown.
        joins_requests: Whether the server computes the texts of different clients in one batch. Default: False.
        machine_memory_mb: The memory of the machine, in MB. Default: 0, unknown.
        machine_load: The machine's load average before the measurement: other programs slow a server down. Default: 0.

    Raises:
        InputError: if a value is not possible.
    """

    processor: str
    cores: int
    engine: str
    batch_latencies: tuple[BatchLatency, ...]
    token_lengths: Mapping[int, int]
    start_seconds: float
    memory_mb: float
    peak_memory_mb: float
    size_mb: float
    documents: int | None
    measured_on: str
    signature: str = "serving_default"
    service_times_ms: tuple[float, ...] = ()
    rested_times_ms: tuple[float, ...] = ()
    loads: tuple[Load, ...] = ()
    index_points: tuple[IndexPoint, ...] = ()
    answer_bytes: int = 0
    index_mb: float = 0.0
    joins_requests: bool = False
    machine_memory_mb: float = 0.0
    machine_load: float = 0.0

    def __post_init__(self) -> None:
        check_whole_number("cores", self.cores)
        if not self.batch_latencies:
            raise InputError("`batch_latencies` must have at least one entry. Received: none. Measure the version.")
        for name, value in _list_values(dataclasses.asdict(self)):
            if name in TEXTS:
                is_right = isinstance(value, str)
            elif value is None or isinstance(value, bool):
                is_right = name in (MAY_BE_NONE if value is None else SWITCHES)
            else:
                is_right = isinstance(value, int | float) and math.isfinite(value) and value >= 0
            if not is_right:
                what = "a text" if name in TEXTS else "a number of at least 0"
                raise InputError(f"`{name}` must be {what}. Received: {name}={value!r:.80}.", argument=name)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        values = dataclasses.asdict(self)
        values["token_lengths"] = {str(percentile): tokens for percentile, tokens in self.token_lengths.items()}
        return {"format": FORMAT, **values}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Measurement":
        """Returns the measurement that `to_json` made these values of.

        Raises:
            InputError: if a value is missing, unknown or not possible.
        """
        values = dict(values)
        if values.pop("format", None) != FORMAT:
            raise InputError(f"A measurement must have format {FORMAT}. Received: {dict(values)!r:.80}. Measure again.")
        check_known_settings(values, [item.name for item in dataclasses.fields(cls)])
        try:
            values["token_lengths"] = {int(name): int(tokens) for name, tokens in values["token_lengths"].items()}
            values["batch_latencies"] = tuple(BatchLatency(**entry) for entry in values["batch_latencies"])
            values["loads"] = tuple(Load(**entry) for entry in values.get("loads", ()))
            values["index_points"] = tuple(IndexPoint(**entry) for entry in values.get("index_points", ()))
            for name in ("service_times_ms", "rested_times_ms"):
                values[name] = tuple(map(float, values.get(name, ())))
            return cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"A measurement lacks a value, or has a wrong one: {error}. Measure again.") from error


def write_measurement(version_path: Path | str, measurement: Measurement) -> Path:
    """Writes a measurement beside the version's other files, in one step; replaces an older one.

    Returns:
        The file, `measurement.json` in the version's `assets.extra/`.

    Raises:
        TfchainError: if it cannot be written.
    """
    return write_json(Path(version_path) / MEASUREMENT, measurement.to_json())


def read_measurement(version_path: Path | str) -> Measurement | None:
    """Reads a version's measurement.

    Returns:
        The measurement; None if the version was not measured.

    Raises:
        InputError: if the file is damaged.
    """
    path = Path(version_path) / MEASUREMENT
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise TfchainError(f"{path} cannot be read: {error.strerror or error}. Check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}. Delete it, and measure the version again.") from error
    try:
        return Measurement.from_json(values if isinstance(values, Mapping) else {})
    except InputError as error:
        raise InputError(f"{path} is not a measurement: {error}") from error


def _list_values(values: Any, name: str = "") -> list[tuple[str, Any]]:
    """Lists all plain values in nested ones, with the name of the field that each is in."""
    if isinstance(values, Mapping):
        known = name == "token_lengths"  # its keys are numbers
        return [pair for key, inner in values.items() for pair in _list_values(inner, name if known else str(key))]
    if isinstance(values, list | tuple):
        return [pair for inner in values for pair in _list_values(inner, name)]
    return [(name, values)]
