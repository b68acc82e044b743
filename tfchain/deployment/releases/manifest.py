"""The manifest of a version in a registry: hashes of all files, what its export said, and what it was made from."""

import contextlib
import datetime
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfchain.core.atomic import new_folder
from tfchain.core.errors import InputError, TfchainError
from tfchain.deployment.releases.contents import ADDED, hash_file, hash_files, join_hashes
from tfchain.deployment.repository import parse_version, read_description

MANIFEST = "manifest.json"  # of a version in a registry; written last: a version without it is not there
_FORMAT = 1
_DESCRIBED = ("task", "fingerprint", "signatures", "oldest_server", "tfchain", "tensorflow", "source")


def check_version_path(version_path: Path | str) -> tuple[Path, int]:
    """Returns a version's folder and its number.

    Raises:
        InputError: if it is not a version.
    """
    path = Path(version_path)
    number = parse_version(path.name)
    if number is None or not (path / "saved_model.pb").is_file():
        raise InputError(f"A version must be a folder named by its number, with saved_model.pb. Received: {path}.")
    return path, number


def make_manifest(path: Path, name: str, number: int, lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Makes the manifest of a version.

    Args:
        path: The version's folder.
        name: The model's name.
        number: The version.
        lineage: What the version was made from, in order: a file, or plain values, by name.

    Raises:
        InputError: if the lineage names a file that is not there.
    """
    steps = _describe_lineage(lineage)
    files, described = hash_files(path), read_description(path)
    return {
        "format": _FORMAT,
        "name": name,
        "version": number,
        "contents": join_hashes(files),
        "files": files,
        "reports": {file: hash_file(path / file) for file in sorted(ADDED - {MANIFEST}) if (path / file).is_file()},
        "description": {key: described[key] for key in _DESCRIBED if key in described},
        "lineage": steps,
        "registered_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def take_out(
    manifest: Mapping[str, Any], to: Path | str, copy: Callable[[str, Path], object], registry: object
) -> Path:
    """Copies a version out of a registry, and checks each file. It appears whole or not at all.

    Args:
        manifest: Its manifest.
        to: The base path.
        copy: Copies a file, named as in the manifest, to a path.
        registry: The registry, for errors.

    Returns:
        The version's folder; one that is there with the same contents is left as it is.

    Raises:
        InputError: if the base path has another version of that number.
        TfchainError: if a file is damaged; nothing appears then.
    """
    name, number = manifest["name"], int(manifest["version"])
    target = Path(to) / str(number)
    if target.exists():
        if join_hashes(hash_files(target)) == manifest["contents"]:
            return target
        raise InputError(
            f"{target} is there, with other contents than version {number} of {name} in the registry. "
            "Name another base path, or remove it."
        )
    with new_folder(target) as partial:
        for file, digest in {**manifest["files"], **manifest["reports"]}.items():
            place = partial / file
            if not place.resolve().is_relative_to(partial.resolve()):
                raise TfchainError(f"The manifest of {name} {number} names a file outside of it: {file!r}.")
            place.parent.mkdir(parents=True, exist_ok=True)
            copy(file, place)
            if hash_file(place) != digest:
                raise TfchainError(
                    f"{file} of {name} version {number} in {registry} is damaged: its hash is not that of the "
                    "manifest. Nothing was written. Push the version again under a new number."
                )
        if join_hashes(hash_files(partial)) != manifest["contents"]:
            raise TfchainError(f"The manifest of {name} version {number} does not fit its files. Nothing was written.")
    return target


def _describe_lineage(lineage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns a step for each name: plain values, or a file's hash with its content if that is JSON."""
    steps = []
    for name, source in lineage.items():
        if not isinstance(source, str | Path):
            steps.append({"name": name, "values": source})
            continue
        file = Path(source)
        if not file.is_file():
            raise InputError(
                f"`lineage` must name files or plain values. Received: {name}={str(source)!r}, which is no file."
            )
        data = file.read_bytes()
        step: dict[str, Any] = {"name": name, "file": file.name, "sha256": hashlib.sha256(data).hexdigest()}
        with contextlib.suppress(ValueError):
            step["values"] = json.loads(data)
        steps.append(step)
    return steps
