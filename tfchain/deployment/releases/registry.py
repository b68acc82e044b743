"""A registry of versions: their files with hashes, stages, lineage and signature, in a folder or behind a URL."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError, TfchainError
from tfchain.deployment.arguments import check_model_name
from tfchain.deployment.releases.contents import hash_files
from tfchain.deployment.releases.manifest import MANIFEST, check_version_path, make_manifest, take_out
from tfchain.deployment.releases.registry_store import Store, open_store
from tfchain.deployment.releases.signature import check_signature, sign
from tfchain.deployment.repository import parse_version

STAGES = "stages.json"
_LEAST_KEY = 16  # characters of a secret


class Registry:
    """Keeps versions of models, and says which one is in which stage.

    Args:
        place: A folder, or a URL that fsspec knows: `gs://…`, `s3://…`.
        key_file: A file with the secret that signs versions, and with which they are checked. Default: hashes alone,
            which notice damage, not a forger who can write to the registry.
        key: The secret itself, in place of a file. Default: none.

    Raises:
        InputError: if both are given.

    Example:
        registry = Registry("gs://bucket/models", key_file="release.key")
        registry.push("saved_models/docs/3", lineage={"data": "prepared/card.json", "training": {"run": "41"}})
        registry.set_stage("docs", "production", 3)
        registry.fetch("docs", "production", to="saved_models/docs")
    """

    def __init__(
        self, place: Path | str, *, key_file: Path | str | None = None, key: str | bytes | None = None
    ) -> None:
        if key_file is not None and key is not None:
            raise InputError("A registry has one secret: `key_file` or `key`. Received: both.")
        self.place = place
        self._key_file = key_file
        self._key = key.encode() if isinstance(key, str) else key

    def push(
        self, version_path: Path | str, *, name: str | None = None, lineage: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Copies a version into the registry. It appears when all of its files are there.

        Args:
            version_path: The version's folder.
            name: The model's name. Default: the base path's folder.
            lineage: What the version was made from, in order, by names such as `data`, `training`, `compression`: a
                file, of which the hash is kept with its content if that is JSON, or plain values. Default: nothing.

        Returns:
            The manifest. Pushing the same files again changes nothing.

        Raises:
            InputError: if it is not a version, or the registry has another one of that number.
            TfchainError: if the registry cannot be written.
        """
        path, number = check_version_path(version_path)
        name = name or path.resolve().parent.name
        check_model_name(name, argument="name")
        store, key = self._open()
        manifest = make_manifest(path, name, number, lineage or {})
        before = self._read(store, name, number)
        if before is not None and before["contents"] != manifest["contents"]:
            raise InputError(
                f"The registry has another version {number} of {name}, with the contents {before['contents'][:12]}. "
                f"Received: {path} with {manifest['contents'][:12]}. Export a new version: no number is used twice."
            )
        if before is not None:
            return before
        for file in (*manifest["files"], *manifest["reports"]):
            store.upload(path / file, f"{name}/{number}/{file}")
        if hash_files(path) != manifest["files"]:
            raise InputError(
                f"{path} changed while it was copied. The registry has no version {number}. Push it again."
            )
        signed = sign(manifest, key)
        store.write(f"{name}/{number}/{MANIFEST}", _to_bytes(signed))
        return signed

    def fetch(self, name: str, version: int | str, *, to: Path | str) -> Path:
        """Copies a version out of the registry, and checks each file. It appears whole or not at all.

        Args:
            name: The model's name.
            version: The version, or a stage such as `production`.
            to: The base path; the version becomes a folder in it.

        Returns:
            The version's folder; one that is there with the same contents is left as it is.

        Raises:
            InputError: if there is no such version or stage, or the base path has another version of that number.
            TfchainError: if a file is damaged or the signature is wrong; nothing appears then.
        """
        check_model_name(name, argument="name")
        store, key = self._open()
        number = self._find_number(store, name, version)
        manifest = self._require(store, name, number)
        check_signature(manifest, key)
        return take_out(manifest, to, lambda file, place: store.download(f"{name}/{number}/{file}", place), self.place)

    def set_stage(self, name: str, stage: str, version: int) -> None:
        """Says which version is in a stage, such as `staging` or `production`.

        Raises:
            InputError: if the registry does not have the version, or the stage's name is empty or a number.
        """
        check_stage(stage)
        check_model_name(name, argument="name")
        store, key = self._open()
        check_signature(self._require(store, name, version), key)
        with store.changing(f"{name}/{STAGES}"):
            stages = self._read_stages(store, name)
            at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            history = [*stages["history"], {"at": at, "stage": stage, "version": version}][-1000:]
            changed = {"stages": {**stages["stages"], stage: version}, "history": history}
            store.write(f"{name}/{STAGES}", _to_bytes(changed))

    def stages(self, name: str) -> dict[str, int]:
        """Returns the version of each stage."""
        check_model_name(name, argument="name")
        found: dict[str, int] = self._read_stages(self._open()[0], name)["stages"]
        return found

    def versions(self, name: str) -> list[dict[str, Any]]:
        """Returns the manifests of a model's versions, in ascending order."""
        check_model_name(name, argument="name")
        store, _ = self._open()
        numbers = sorted(number for folder in store.list_folders(name) if (number := parse_version(folder)) is not None)
        return [manifest for number in numbers if (manifest := self._read(store, name, number)) is not None]

    def models(self) -> list[str]:
        """Returns the names of the models, sorted."""
        return self._open()[0].list_folders("")

    def _open(self) -> tuple[Store, bytes | None]:
        key = self._key
        if self._key_file is not None:
            try:
                key = Path(self._key_file).read_bytes()
            except OSError as error:
                raise InputError(
                    f"`key_file` must be a file that can be read. Received: {self._key_file} "
                    f"({error.strerror or error}). Name the file with the secret."
                ) from error
        key = None if key is None else key.strip()
        if key is not None and len(key) < _LEAST_KEY:
            name = "key" if self._key_file is None else "key_file"
            raise InputError(
                f"`{name}` must hold a secret of at least {_LEAST_KEY} characters. "
                f"Received: {'one' if self._key_file is None else self._key_file} with {len(key)}. "
                "Make one with `openssl rand -hex 32`."
            )
        return open_store(self.place), key

    def _find_number(self, store: Store, name: str, version: int | str) -> int:
        if isinstance(version, int) and not isinstance(version, bool):
            return version
        stages = self._read_stages(store, name)["stages"]
        if version not in stages:
            raise InputError(
                f"`version` must be a version or a stage of {name}. Received: version={version!r}. "
                f"The stages: {', '.join(stages) or 'none'}."
            )
        return int(stages[version])

    def _require(self, store: Store, name: str, version: int) -> dict[str, Any]:
        manifest = self._read(store, name, version)
        if manifest is None:
            known = [str(found["version"]) for found in self.versions(name)]
            raise InputError(
                f"The registry {self.place} must have the version. Received: {name} version {version!r}. "
                f"There are: {', '.join(known) or 'none'}. Push it first."
            )
        return manifest

    def _read(self, store: Store, name: str, version: int) -> dict[str, Any] | None:
        found = self._read_json(store, f"{name}/{version}/{MANIFEST}")
        if found is not None and not {"contents", "files", "reports", "version"} <= found.keys():
            raise TfchainError(f"{self.place}/{name}/{version}/{MANIFEST} is damaged. Push the version again.")
        if found is not None and (found.get("name"), found["version"]) != (name, version):
            raise TfchainError(
                f"{self.place}/{name}/{version}/{MANIFEST} must be of {name} version {version}. Received: that of "
                f"{found.get('name')} version {found['version']}. Somebody moved it: push the version again."
            )
        return found

    def _read_stages(self, store: Store, name: str) -> dict[str, Any]:
        return self._read_json(store, f"{name}/{STAGES}") or {"stages": {}, "history": []}

    def _read_json(self, store: Store, path: str) -> dict[str, Any] | None:
        data = store.read(path)
        if data is None:
            return None
        try:
            values = json.loads(data)
        except ValueError as error:
            raise TfchainError(f"{self.place}/{path} is damaged: it is not JSON ({error}).") from error
        if not isinstance(values, dict):
            raise TfchainError(f"{self.place}/{path} is damaged: it is not a JSON object.")
        return values


def check_stage(stage: Any) -> None:
    """Raises an InputError if a stage's name is empty, or a number, which names a version."""
    if not isinstance(stage, str) or not stage or stage.isdecimal():
        raise InputError(f"`stage` must be a name, such as 'production'. Received: stage={stage!r}.")


def _to_bytes(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()
