"""A version's proofs as a file in its folder, so that its answers can be checked again, on any machine, at any time."""

import base64
import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.proof import Proof

PROOFS = "assets.extra/tfchain_proofs.json.gz"
_DTYPES = frozenset({"float32", "float64", "float16", "int32", "int64", "int8", "uint8", "bool"})


def write_proofs(version_path: Path, proofs: Sequence[Proof], native_proofs: Sequence[Proof] = ()) -> None:
    """Writes the proofs of a version that is being made; nothing if it has none.

    Args:
        version_path: The version's folder.
        proofs: The proofs of its SavedModel.
        native_proofs: The proofs of its native engine. Default: none.
    """
    if not proofs and not native_proofs:
        return
    values = {
        "saved_model": [_to_plain(proof) for proof in proofs],
        "native": [_to_plain(one) for one in native_proofs],
    }
    file = version_path / PROOFS
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(json.dumps(values).encode(), mtime=0))


def read_proofs(version_path: Path) -> tuple[list[Proof], list[Proof]]:
    """Returns the proofs of a version's SavedModel and of its native engine; none if its export wrote none.

    Raises:
        InputError: if the file is damaged.
    """
    file = version_path / PROOFS
    try:
        values = json.loads(gzip.decompress(file.read_bytes()))
        saved_model, native = ([_from_plain(proof) for proof in values[kind]] for kind in ("saved_model", "native"))
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{file} must be what the export wrote. Received: a file that cannot be read ({error!r:.100}). "
            "Export the version again."
        ) from error
    return saved_model, native


def _to_plain(proof: Proof) -> dict[str, Any]:
    return {
        "signature": proof.signature,
        "inputs": _to_plain_arrays(proof.inputs),
        "outputs": _to_plain_arrays(proof.outputs),
        "ties": _to_plain_arrays(proof.ties),
        "tolerance": proof.tolerance,
    }


def _from_plain(values: Any) -> Proof:
    arrays = {kind: _from_plain_arrays(values[kind]) for kind in ("inputs", "outputs", "ties")}
    return Proof(values["signature"], **arrays, is_warm_up=False, tolerance=float(values["tolerance"]))


def _to_plain_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: _to_plain_array(array) for name, array in arrays.items()}


def _from_plain_arrays(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: _from_plain_array(value) for name, value in values.items()}


def _to_plain_array(array: np.ndarray) -> dict[str, Any]:
    if array.dtype.hasobject:
        texts = [item if isinstance(item, bytes) else str(item).encode() for item in array.ravel().tolist()]
        return {"shape": array.shape, "texts": [base64.b64encode(text).decode() for text in texts]}
    dtype = array.dtype.name
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {"shape": array.shape, "dtype": dtype, "bytes": base64.b64encode(little.tobytes()).decode()}


def _from_plain_array(value: Mapping[str, Any]) -> np.ndarray:
    if "texts" in value:
        texts = np.empty(len(value["texts"]), object)
        texts[:] = [base64.b64decode(text) for text in value["texts"]]
        return texts.reshape(value["shape"])
    if value["dtype"] not in _DTYPES:
        raise ValueError(f"unknown data type {value['dtype']!r}")
    dtype = np.dtype(value["dtype"]).newbyteorder("<")
    array = np.frombuffer(base64.b64decode(value["bytes"]), dtype).reshape(value["shape"])
    return array.astype(np.dtype(value["dtype"]))
