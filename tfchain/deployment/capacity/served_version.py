"""One version behind an embedded server of its own, for a measurement."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tfchain.core.native import NATIVE_FOLDER
from tfchain.core.signatures import TFLITE_FILE
from tfchain.deployment.capacity.server_process import ServerProcess
from tfchain.deployment.deploy import deploy
from tfchain.deployment.repository import parse_version

NATIVE_MARK = "The native engine answers"  # in the server's log
LITERT_FAILS_MARK = "LiteRT does not answer"
MODEL_NAME = "measured"
START_SECONDS = 600.0  # a large version on a busy machine takes minutes


@dataclass(frozen=True)
class ServedVersion:
    """A version that a server of its own answers.

    Args:
        url: The model's REST address.
        process: The server.
        engine: What answers: `tensorflow`, `litert` or `native`.
        start_seconds: From the start of the process until it was ready, warm-up included.
        memory_mb: The server's memory when it was ready, in MB.
    """

    url: str
    process: ServerProcess
    engine: str
    start_seconds: float
    memory_mb: float


@contextmanager
def serve_version(version_path: Path, *, engine: str, program: str, workers: int = 1) -> Iterator[ServedVersion]:
    """Starts a server for a version alone, and stops it.

    Args:
        version_path: The version's folder, in any place.
        engine: As in `deploy`.
        program: As in `deploy`.
        workers: As in `deploy`. Default: 1.

    Raises:
        InputError: if the engine is unknown.
        ServerError: if the server does not start.
    """
    name = version_path.resolve().name
    with tempfile.TemporaryDirectory(prefix="tfchain-measure-") as folder:
        base_path, log_path = Path(folder) / "base", Path(folder) / "server.log"
        base_path.mkdir()
        number = name if (parse_version(name) or 0) > 0 else "1"
        os.symlink(version_path.resolve(), base_path / number, target_is_directory=True)
        begin = time.perf_counter()
        server = deploy(
            base_path,
            model_name=MODEL_NAME,
            engine=engine,
            program=program,
            workers=workers,
            log_path=log_path,
            timeout_seconds=START_SECONDS,
        )
        with server:
            seconds = time.perf_counter() - begin
            process = ServerProcess(server.pid)
            log = log_path.read_text(encoding="utf-8", errors="replace")
            url = f"{server.rest_url}/v1/models/{MODEL_NAME}"
            chosen = find_engine(engine, version_path, log)
            yield ServedVersion(url, process, chosen, seconds, process.memory_mb())


def find_engine(asked: str, version_path: Path, log: str) -> str:
    """Returns the engine that a server chose, from what it was asked for and its log."""
    if asked in ("auto", "native") and (version_path / NATIVE_FOLDER).is_dir() and NATIVE_MARK in log:
        return "native"
    has_flatbuffer = (version_path / TFLITE_FILE).is_file() and LITERT_FAILS_MARK not in log
    return "litert" if asked in ("auto", "litert") and has_flatbuffer else "tensorflow"
