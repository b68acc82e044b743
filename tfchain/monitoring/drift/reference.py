"""The reference that drift is measured against: samples of queries and documents with the thresholds of each."""

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfchain.core.atomic import write_file
from tfchain.core.checks import check_known_settings
from tfchain.core.errors import InputError
from tfchain.monitoring.drift.calibration import find_thresholds
from tfchain.monitoring.drift.config import LEAST_WINDOW, DriftConfig
from tfchain.monitoring.drift.mean_discrepancy import check_vectors, find_bandwidth

REFERENCE_FILE = "assets.extra/reference.npz"  # in a version's folder
FORMAT = 1
STREAMS = ("queries", "documents")
Origin = Literal["queries", "documents"]


@dataclass(frozen=True)
class Sample:
    """What a stream looked like when the reference was made.

    Args:
        vectors: The items' vectors, float32 `(n, dim)`; None if only scalars are watched.
        scalars: Name → values `(n,)`, such as `length`, `score` and `unknown`. Default: none.
        origin: What the items are. Documents may stand in for queries where no queries are known: real queries then
            differ from the start, so an alarm says little. Default: `queries`.
        bandwidth: The width of the kernel. Default: found when calibrated.
        thresholds: Statistic → what it stays below without drift. Default: found when calibrated.
    """

    vectors: np.ndarray | None
    scalars: Mapping[str, np.ndarray] = field(default_factory=dict)
    origin: Origin = "queries"
    bandwidth: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """The width of the vectors; 0 without."""
        return 0 if self.vectors is None else int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.vectors) if self.vectors is not None else len(next(iter(self.scalars.values()), ()))

    def calibrate(self, config: DriftConfig) -> "Sample":
        """Returns the sample with the thresholds for a configuration, and no more items than are compared.

        Raises:
            InputError: if there are fewer than 20 items, or numbers of them differ.
        """
        vectors = None if self.vectors is None else check_vectors("vectors", self.vectors)
        scalars = {name: np.asarray(values, np.float64) for name, values in self.scalars.items()}
        for name, values in scalars.items():
            if values.shape != (len(self),) or not np.isfinite(values).all():
                raise InputError(
                    f"The scalar {name!r} must have one finite number for each of the {len(self)} items. "
                    f"Received: an array of the shape {values.shape}."
                )
        if len(self) < LEAST_WINDOW:
            raise InputError(
                f"A reference needs at least {LEAST_WINDOW} items, better some hundred. Received: {len(self)}. "
                "Give more queries."
            )
        if len(self) > config.most_vectors:
            chosen = _choose(len(self), config)
            vectors = None if vectors is None else vectors[chosen]
            scalars = {name: values[chosen] for name, values in scalars.items()}
        bandwidth = 1.0 if vectors is None else find_bandwidth(vectors, seed=config.seed)
        thresholds = find_thresholds(vectors, scalars, config, bandwidth=bandwidth)
        return Sample(vectors, scalars, self.origin, bandwidth, thresholds)


def _choose(size: int, config: DriftConfig) -> np.ndarray:
    """Chooses items at random, in their order; with a burst, whole bursts of items that follow each other."""
    generator = np.random.default_rng(config.seed)
    if config.burst == 1:
        return np.sort(generator.choice(size, config.most_vectors, replace=False))
    starts = np.arange(0, size - config.burst + 1, config.burst)
    count = min(len(starts), config.most_vectors // config.burst)
    chosen = np.sort(generator.choice(starts, count, replace=False))
    return (chosen[:, None] + np.arange(config.burst)).ravel()


@dataclass(frozen=True)
class Reference:
    """What drift is measured against. `make_reference` makes one, `read_reference` reads it from a version.

    Args:
        queries: The sample of queries; None if they are not watched.
        documents: The sample of documents; None if they are not watched.
        config: What the thresholds were found for.
        fingerprint: Of the model that made the vectors; empty if it is not known.
    """

    queries: Sample | None = None
    documents: Sample | None = None
    config: DriftConfig = field(default_factory=DriftConfig)
    fingerprint: str = ""

    def with_config(self, config: DriftConfig) -> "Reference":
        """Returns the reference with the thresholds for another configuration."""
        return make_reference(self.queries, self.documents, config=config, fingerprint=self.fingerprint)


def make_reference(
    queries: Sample | None, documents: Sample | None = None, *, config: DriftConfig | None = None, fingerprint: str = ""
) -> Reference:
    """Makes a reference: finds the thresholds by simulation, which takes some seconds.

    Args:
        queries: A sample of queries, some hundred of them; None if they are not watched.
        documents: A sample of documents. Default: they are not watched.
        config: How drift is looked for. Default: `DriftConfig()`.
        fingerprint: Of the model that made the vectors. Default: not known.

    Raises:
        InputError: if there is no sample, or one is too small.
    """
    if queries is None and documents is None:
        raise InputError("A reference needs queries or documents. Received: neither. Give a file of queries.")
    config = config or DriftConfig()
    samples = [None if sample is None else sample.calibrate(config) for sample in (queries, documents)]
    return Reference(samples[0], samples[1], config, fingerprint)


def write_reference(path: Path | str, reference: Reference) -> Path:
    """Writes a reference to a file, in one step.

    Args:
        path: The file, or a version's folder, in which it becomes `assets.extra/reference.npz`.
        reference: The reference.

    Returns:
        The file.
    """
    arrays: dict[str, np.ndarray] = {}
    described: dict[str, Any] = {
        "format": FORMAT,
        "config": reference.config.to_dict(),
        "fingerprint": reference.fingerprint,
    }
    for stream in STREAMS:
        sample: Sample | None = getattr(reference, stream)
        if sample is None:
            continue
        described[stream] = {
            "origin": sample.origin,
            "bandwidth": sample.bandwidth,
            "thresholds": dict(sample.thresholds),
            "scalars": list(sample.scalars),
        }
        if sample.vectors is not None:
            arrays[f"{stream}.vectors"] = sample.vectors.astype(np.float32, copy=False)
        arrays |= {f"{stream}.{name}": values for name, values in sample.scalars.items()}
    arrays["description"] = np.frombuffer(json.dumps(described).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return write_file(find_reference(path), file.getvalue())


def read_reference(path: Path | str) -> Reference:
    """Reads a reference.

    Args:
        path: The file, or a version's folder.

    Raises:
        InputError: if there is none, or it is damaged.
    """
    file = find_reference(path)
    if not file.is_file():
        raise InputError(
            f"There is no reference of queries and documents at {file}. "
            "Make one with `tfchain monitor reference VERSION --queries FILE`."
        )
    try:
        with np.load(file, allow_pickle=False) as arrays:
            described = json.loads(arrays["description"].tobytes())
            if described["format"] != FORMAT:
                raise InputError(f"{file} has the format {described['format']}, and this tfchain reads {FORMAT}.")
            config = dict(described["config"])
            check_known_settings(config, [part.name for part in dataclasses.fields(DriftConfig)])
            samples = [_read_sample(stream, described, arrays) for stream in STREAMS]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{file} cannot be read: {type(error).__name__}: {error}. Make it again with `tfchain monitor reference`."
        ) from error
    return Reference(samples[0], samples[1], DriftConfig(**config), str(described["fingerprint"]))


def find_reference(path: Path | str) -> Path:
    """Returns the file of a reference, given that file or a version's folder."""
    path = Path(path)
    return path / REFERENCE_FILE if path.is_dir() else path


def _read_sample(stream: str, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Sample | None:
    if stream not in described:
        return None
    values = described[stream]
    names: Sequence[str] = values["scalars"]
    return Sample(
        arrays.get(f"{stream}.vectors"),
        {name: arrays[f"{stream}.{name}"] for name in names},
        values["origin"],
        float(values["bandwidth"]),
        {name: float(value) for name, value in values["thresholds"].items()},
    )
