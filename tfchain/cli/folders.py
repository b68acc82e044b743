"""Distinguishes a saved chain, a base path and a version, and describes their contents, without TensorFlow."""

import json
from pathlib import Path
from typing import Any

from tfchain.core.errors import IndexFolderError, InputError

CHAIN_FILE = "chain.json"
MODEL_FILE = "saved_model.pb"


def is_chain(path: Path) -> bool:
    """Whether a folder holds a saved chain."""
    return (path / CHAIN_FILE).is_file()


def is_version(path: Path) -> bool:
    """Whether a folder is one version of a SavedModel."""
    return (path / MODEL_FILE).is_file()


def is_base_path(path: Path) -> bool:
    """Whether a folder holds versions."""
    from tfchain.deployment.repository import list_versions

    return path.is_dir() and any(is_version(version) for version in list_versions(path).values())


def check_is_chain(path: Path) -> None:
    """Rejects a folder that is not a saved chain.

    Raises:
        IndexFolderError: says what it is instead.
    """
    if is_chain(path):
        return
    if not path.exists():
        raise IndexFolderError(
            f"No such folder: {path}. Make an index with `tfchain index DOCS --model M --out {path}`."
        )
    kind = "an exported version" if is_version(path) else "a base path of versions" if is_base_path(path) else None
    raise IndexFolderError(
        f"Expected a folder that `tfchain index`, `train` or `compress` wrote. Received: {path}, which "
        + (f"is {kind}; it is served with `tfchain serve`." if kind else f"holds no {CHAIN_FILE}.")
    )


def check_is_base_path(path: Path) -> None:
    """Rejects a folder that is not a base path of versions.

    Raises:
        InputError: says what it is instead.
    """
    if is_base_path(path):
        return
    if is_chain(path):
        what = f"a saved chain. Export it first: `tfchain export {path}`, and serve the parent of the folder it prints"
    elif is_version(path):
        what = f"one version. Give the folder around it: {path.resolve().parent}"
    else:
        what = "not there" if not path.exists() else "without a version. Export one with `tfchain export DIR --out …`"
    raise InputError(f"Expected a base path, a folder of versions (1, 2, …). Received: {path}, which is {what}.")


def describe_version(path: Path) -> dict[str, Any]:
    """Describes a version: its number and what its export recorded.

    Args:
        path: The version's folder.

    Returns:
        Plain values; only path and number for a version that tfchain did not export.
    """
    from tfchain.deployment.repository import DESCRIPTION

    values: dict[str, Any] = {"version": path.name, "path": str(path)}
    try:
        return {**values, **json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))}
    except FileNotFoundError:
        return values
    except ValueError as error:
        raise InputError(f"{path / DESCRIPTION} is not JSON: {error}. Export the version again.") from error


def describe_chain(path: Path) -> dict[str, Any]:
    """Describes the contents of a saved chain of any task.

    Args:
        path: The chain's folder.

    Raises:
        IndexFolderError: if it is damaged.
    """
    from tfchain.chains.chain_types import read_saved_task

    task = read_saved_task(path)
    return {"kind": "index", **describe_index(path)} if task == "search" else describe_other(path, task)


def describe_index(path: Path) -> dict[str, Any]:
    """Describes a saved search."""
    from tfchain.tasks.search.index_folder import load_index_folder

    loaded = load_index_folder(path)
    return {
        "path": str(path),
        "documents": len(loaded.index),
        "passages": int(loaded.index.vectors.counts.sum()),
        "dim": loaded.index.vectors.dim,
        "similarity": loaded.index.vectors.similarity,
        "fingerprint": loaded.index.fingerprint,
        "commit": loaded.folder.commit,
        "model": str(loaded.model_path),
        "settings": loaded.settings,
        **describe_model(loaded.model_path),
    }


def describe_other(path: Path, task: str) -> dict[str, Any]:
    """Describes a saved chain of another task: what its manifest says; of a long list in its state the length."""
    from tfchain.tasks.manifest import read_manifest

    manifest = read_manifest(path)
    state = manifest.get("state")
    model_path = path / str(manifest.get("model"))
    if not model_path.is_dir():
        raise IndexFolderError(f"{path} lacks its model, {model_path.name}. Save the chain there again.")
    return {
        "kind": "chain",
        "task": task,
        "path": str(path),
        "state": {
            name: len(value) if isinstance(value, list | dict) else value
            for name, value in (state if isinstance(state, dict) else {}).items()
        },
        "commit": manifest.get("commit"),
        "model": str(model_path),
        "settings": manifest.get("settings", {}),
        **describe_model(model_path),
    }


def describe_model(path: Path) -> dict[str, Any]:
    """Describes an encoder's folder; nothing of another model, such as a wrapped Keras model."""
    from tfchain.core.errors import TfchainError
    from tfchain.models.weights.folder import read_folder

    if not (path / "config.json").is_file():
        return {}
    try:
        folder = read_folder(path)
    except TfchainError:  # of a task whose models are no encoders of texts
        return {}
    transformer = folder.encoder.transformer
    return {
        "architecture": transformer.architecture,
        "layers": transformer.num_layers,
        "max_length": folder.max_length or transformer.max_length,
        "prompts": dict(folder.prompts),
    }
