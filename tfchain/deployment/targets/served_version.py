"""What a version's folder says of itself, read without TensorFlow: what a target must know to run it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfchain.core.errors import InputError
from tfchain.core.native import NATIVE_FOLDER
from tfchain.core.signatures import TFLITE_FILE
from tfchain.deployment.arguments import check_model_name
from tfchain.deployment.op_check import OLDEST_SERVERS, core_ops, read_release
from tfchain.deployment.repository import list_versions, parse_version, read_description
from tfchain.deployment.targets.graph_ops import read_graph_ops

if TYPE_CHECKING:
    from tfchain.deployment.capacity.measurement import Measurement

SAVED_MODEL = "saved_model.pb"
OLDEST_SERVER = "2.8"  # of a version without an op of TF Text


@dataclass(frozen=True)
class ServedVersion:
    """A version as a target sees it.

    Args:
        path: The version's folder.
        number: Its number, the folder's name.
        model_name: The name that requests use.
        task: The task's name, such as `search`; None for versions that tfchain did not export.
        signatures: Signature → the ops that its answer needs, sorted.
        ops: All ops of the graph, sorted; those of tables' initializers are in no signature.
        compiled: Functions that must run through XLA, sorted.
        oldest_server: The oldest TensorFlow Serving that has all ops; None if no release has them.
        engines: What the embedded server can answer it with: `tensorflow`, and `litert` and `native` if it has files
            for them.
        native_signatures: The signatures that the native engine answers, sorted.
        size_bytes: The size of its files.
        fingerprint: The hash of model and vectors; None if the version does not say.
        documents: The number of documents in it; None for tasks without documents.
        description: What its export recorded (`assets.extra/tfchain.json`); empty for versions of others.
        measurement: Its speed and memory, measured on some machine; None if nobody has measured it.
    """

    path: Path
    number: int
    model_name: str
    task: str | None
    signatures: Mapping[str, tuple[str, ...]]
    ops: tuple[str, ...]
    compiled: tuple[str, ...]
    oldest_server: str | None
    engines: tuple[str, ...]
    native_signatures: tuple[str, ...]
    size_bytes: int
    fingerprint: str | None
    documents: int | None
    description: Mapping[str, Any]
    measurement: "Measurement | None"


def read_version(path: Path | str, *, model_name: str | None = None) -> ServedVersion:
    """Reads a version's folder.

    Args:
        path: The folder of one version, `<base path>/<number>`.
        model_name: The name that requests use. Default: the base path's.

    Raises:
        InputError: if it is not a version's folder, its SavedModel or its measurement is damaged, or the name is not
            possible.
    """
    path = _check_is_version(Path(path))
    name = path.parent.name if model_name is None else model_name
    check_model_name(name)
    graph = read_graph_ops(path / SAVED_MODEL)
    description = read_description(path)
    native = _read_native(path / NATIVE_FOLDER / "native.json")
    has_litert = (path / TFLITE_FILE).is_file()
    documents, fingerprint = description.get("documents"), description.get("fingerprint")
    return ServedVersion(
        path=path,
        number=int(path.name),
        model_name=name,
        task=description.get("task"),
        signatures=graph.signatures,
        ops=graph.ops,
        compiled=graph.compiled,
        oldest_server=find_oldest_server(graph.ops),
        engines=("tensorflow", *(["litert"] if has_litert else []), *(["native"] if native else [])),
        native_signatures=native,
        size_bytes=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        fingerprint=fingerprint if isinstance(fingerprint, str) else None,
        documents=documents if isinstance(documents, int) else None,
        description=description,
        measurement=_read_measurement(path),
    )


def find_oldest_server(ops: tuple[str, ...]) -> str | None:
    """Returns the oldest TensorFlow Serving that has all of the ops; None if no known release has."""
    if any(op not in OLDEST_SERVERS and op not in core_ops() for op in ops):
        return None
    return max((OLDEST_SERVERS[op] for op in ops if op in OLDEST_SERVERS), key=read_release, default=OLDEST_SERVER)


def _check_is_version(path: Path) -> Path:
    path = path.expanduser().absolute()
    if (path / SAVED_MODEL).is_file() and parse_version(path.name) is not None:
        return path
    if (path / SAVED_MODEL).is_file():
        what = (
            "a SavedModel whose folder's name is not a number. Servers want <name>/<number>: put it into such a folder"
        )
    elif path.is_dir() and (versions := list_versions(path)):
        what = f"a base path of versions. Name one of them, such as {list(versions.values())[-1]}"
    elif path.is_dir():
        what = f"a folder without {SAVED_MODEL}. Export a version with `tfchain export`"
    else:
        what = "not a folder. Export a version with `tfchain export`"
    raise InputError(f"Expected the folder of a version, such as saved_models/docs/1. Received: {path}, {what}.")


def _read_native(path: Path) -> tuple[str, ...]:
    """Returns the signatures that the native engine answers, sorted; none if the version has no files for it."""
    try:
        return tuple(sorted(map(str, json.loads(path.read_text(encoding="utf-8"))["signatures"])))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged: {type(error).__name__}: {error}. Export the version again.") from error


def _read_measurement(path: Path) -> "Measurement | None":
    from tfchain.deployment.capacity.measurement import read_measurement

    return read_measurement(path)
