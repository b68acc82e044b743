"""MLflow's model registry as a registry of versions, for teams that have one; the extra `mlflow`."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError, MissingPackageError, TfchainError, first_line
from tfchain.deployment.arguments import check_model_name
from tfchain.deployment.releases.manifest import MANIFEST, check_version_path, make_manifest, take_out

_FOLDER = "version"  # of a run's artifacts
_NUMBER, _CONTENTS = "tfchain.version", "tfchain.contents"  # tags


class MlflowRegistry:
    """Keeps versions as artifacts of MLflow runs and as versions of a registered model; stages are its aliases.

    MLflow numbers registered versions itself; the version's own number is the tag `tfchain.version`.

    Args:
        tracking_uri: MLflow's address, such as `http://mlflow:5000` or `sqlite:////srv/mlflow.db`.
        experiment: The experiment of the runs. Default: `tfchain`.

    Example:
        registry = MlflowRegistry("http://mlflow:5000")
        registry.push("saved_models/docs/3", lineage={"data": "prepared/card.json"})
        registry.set_stage("docs", "production", 3)
        registry.fetch("docs", "production", to="saved_models/docs")
    """

    def __init__(self, tracking_uri: str, *, experiment: str = "tfchain") -> None:
        self.tracking_uri = tracking_uri
        self.experiment = experiment

    def push(
        self, version_path: Path | str, *, name: str | None = None, lineage: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Logs a version's files in a run, and registers it; see `Registry.push`.

        Raises:
            InputError: if it is not a version, or the registry has another one of that number.
            TfchainError: if MLflow fails.
        """
        path, number = check_version_path(version_path)
        name = name or path.resolve().parent.name
        check_model_name(name, argument="name")
        client, mlflow_error = self._open()
        manifest = make_manifest(path, name, number, lineage or {})
        try:
            known = self._find(client, name, number)
            if known is not None:
                if known.tags.get(_CONTENTS) == manifest["contents"]:
                    return manifest
                raise InputError(
                    f"The registry has another version {number} of {name}. Received: {path}. "
                    "Export a new version: a number is never used twice."
                )
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            found = client.get_experiment_by_name(self.experiment)
            experiment_id = client.create_experiment(self.experiment) if found is None else found.experiment_id
            run = client.create_run(experiment_id, run_name=f"{name} {number}")
            for file in (*manifest["files"], *manifest["reports"]):
                folder = Path(_FOLDER, file).parent.as_posix()
                client.log_artifact(run.info.run_id, str(path / file), folder)
            client.log_text(run.info.run_id, json.dumps(manifest, indent=2), f"{_FOLDER}/{MANIFEST}")
            client.set_terminated(run.info.run_id)
            tags = {_NUMBER: str(number), _CONTENTS: manifest["contents"]}
            source = f"{run.info.artifact_uri}/{_FOLDER}"
            client.create_model_version(name, source, run_id=run.info.run_id, tags=tags)
        except mlflow_error as error:
            raise self._failed(error) from error
        return manifest

    def fetch(self, name: str, version: int | str, *, to: Path | str) -> Path:
        """Copies a version out of the registry, and checks each file; see `Registry.fetch`.

        Raises:
            InputError: if there is no such version or stage, or the base path has another version of that number.
            TfchainError: if a file is damaged, or MLflow fails; nothing appears then.
        """
        client, mlflow_error = self._open()
        with tempfile.TemporaryDirectory() as folder:
            try:
                if isinstance(version, str):
                    registered = client.get_model_version_by_alias(name, version)
                else:
                    registered = self._find(client, name, version)
                if registered is None:
                    raise InputError(
                        f"The registry must have the version. Received: {name} version {version!r}. Push it."
                    )
                local = Path(client.download_artifacts(registered.run_id, _FOLDER, folder))
            except mlflow_error as error:
                raise self._failed(error) from error
            manifest = json.loads((local / MANIFEST).read_text(encoding="utf-8"))
            return take_out(manifest, to, lambda file, place: shutil.copyfile(local / file, place), self.tracking_uri)

    def set_stage(self, name: str, stage: str, version: int) -> None:
        """Says which version is in a stage, by an alias of the registered model.

        Raises:
            InputError: if the registry does not have the version.
            TfchainError: if MLflow fails.
        """
        client, mlflow_error = self._open()
        try:
            registered = self._find(client, name, version)
            if registered is None:
                raise InputError(f"The registry must have the version. Received: {name} version {version!r}. Push it.")
            client.set_registered_model_alias(name, stage, registered.version)
        except mlflow_error as error:
            raise self._failed(error) from error

    def versions(self, name: str) -> list[int]:
        """Returns the numbers of a model's versions, in ascending order."""
        client, mlflow_error = self._open()
        try:
            found = client.search_model_versions(f"name = '{name}'")
        except mlflow_error as error:
            raise self._failed(error) from error
        return sorted(int(one.tags[_NUMBER]) for one in found if _NUMBER in one.tags)

    def _find(self, client: Any, name: str, number: int) -> Any:
        """Returns MLflow's version with a number of ours; None if there is none."""
        found = client.search_model_versions(f"name = '{name}'")
        return next((one for one in found if one.tags.get(_NUMBER) == str(number)), None)

    def _open(self) -> tuple[Any, type[Exception]]:
        """Returns MLflow's client, and the class of its errors."""
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise MissingPackageError(
                "A registry in MLflow needs the package mlflow-skinny. Install it: pip install 'tfchain[mlflow]'."
            ) from error
        try:
            return MlflowClient(self.tracking_uri, self.tracking_uri), MlflowException
        except MlflowException as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> TfchainError:
        return TfchainError(
            f"MLflow at {self.tracking_uri} failed: {first_line(error)}. Check its address and your rights."
        )
