"""Measures a model for the report: files on disk here, memory and speed in a separate process."""

import contextlib
import dataclasses
import gzip
import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.atomic import writing
from tfchain.core.errors import InputError, TfchainError
from tfchain.core.model import Model
from tfchain.core.sampling import spread_evenly
from tfchain.core.texts import check_texts
from tfchain.runtime.child_process import make_environment, make_python_command

NUM_QUERIES = 100
NUM_TEXTS = 256
MEASURE_SECONDS = 3600
GZIP_LEVEL = 6  # the gzip program's default


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The texts that speed and memory are measured with.

    Args:
        queries: Answered one at a time, such as texts to encode: values that JSON can hold.
        texts: Answered in bulk; longer texts are cut off at the model's maximum.
        batch_size: The most items in one step. Default: 32.

    Raises:
        InputError: if there is none, or an item is nothing that a model reads.
    """

    queries: Sequence[Any]
    texts: Sequence[Any]
    batch_size: int = 32

    def __post_init__(self) -> None:
        for name in ("queries", "texts"):
            items = getattr(self, name)
            if not all(isinstance(item, dict) for item in items):
                check_texts(items)
            if not len(items):
                raise InputError(f"`{name}` of a workload must hold at least one text. Received: none.")


def make_workload(queries: Iterable[Any], texts: Iterable[Any], *, batch_size: int = 32) -> Workload:
    """A workload of at most 100 queries and 256 texts (or items of another task), an evenly spaced sample."""
    return Workload(
        queries=spread_evenly(list(queries), NUM_QUERIES),
        texts=spread_evenly(list(texts), NUM_TEXTS),
        batch_size=batch_size,
    )


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What `measure_speed` finds; the fields are those of `CandidateReport`."""

    peak_memory_mb: float
    query_median_ms: float
    query_p95_ms: float
    texts_per_second: float


def measure_files(text_encoder: Model) -> dict[str, int]:
    """Writes the files that a server of the model needs and returns their sizes: name → bytes.

    Of a text encoder with `float16`, or `int8` without calibration, these are `model.tflite` and the tokenizer's files;
    otherwise a SavedModel (`embed_ids`) and the tokenizer's files.

    Raises:
        TfchainError: if LiteRT has no kernel for one of the encoder's ops, or the disk is full.
    """
    with _written_files(text_encoder) as files:
        return {name: path.stat().st_size for name, path in files.items()}


def measure_zipped_files(text_encoder: Model) -> dict[str, int]:
    """Like `measure_files`, with each file compressed by gzip."""
    with _written_files(text_encoder) as files:
        return {name: len(gzip.compress(path.read_bytes(), GZIP_LEVEL)) for name, path in files.items()}


def measure_speed(text_encoder: Model, workload: Workload) -> Speed:
    """Measures memory and speed in a process that only loads the model and answers.

    Args:
        text_encoder: The text encoder, or the model of another task.
        workload: The texts.

    Raises:
        TfchainError: if the process fails.
    """
    text_encoder.run_one(workload.queries[0])  # converts now, so that the process need not
    with tempfile.TemporaryDirectory(prefix="tfchain-measure-") as name:
        folder, task = Path(name) / "model", Path(name) / "task.json"
        with writing(folder):
            folder.mkdir()
            text_encoder.save(folder)
            kind = type(text_encoder)
            values = {
                "kind": f"{kind.__module__}:{kind.__qualname__}",
                "model": str(folder),
                "engine": text_encoder.engine,
                **dataclasses.asdict(workload),
            }
            task.write_text(json.dumps(values), encoding="utf-8")
        command = make_python_command("-m", "tfchain.optimization.measure_process", str(task))
        try:
            done = subprocess.run(
                command, env=make_environment(), capture_output=True, text=True, check=False, timeout=MEASURE_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise TfchainError(
                f"Measuring did not end within {MEASURE_SECONDS} seconds. Give a smaller workload."
            ) from error
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise TfchainError(
                f"The process that measures {text_encoder.precision} ended with {done.returncode}: {reason}"
            )
        return Speed(**json.loads(done.stdout.splitlines()[-1]))


@contextlib.contextmanager
def _written_files(text_encoder: Model) -> Iterator[dict[str, Path]]:
    with tempfile.TemporaryDirectory(prefix="tfchain-files-") as name:
        folder = Path(name)
        with writing(folder):
            text_encoder.write_served_files(folder)
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        yield {str(file.relative_to(folder)): file for file in files}
