import sys
from pathlib import Path

import pytest

from tests.deployment.releases.versions import make_version
from tfchain.core.errors import InputError, MissingPackageError, TfchainError
from tfchain.deployment.releases.contents import hash_version
from tfchain.deployment.releases.mlflow_registry import MlflowRegistry


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return make_version(tmp_path / "docs", 3)


def test_a_version_comes_back_by_number_and_by_stage(
    version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="needs mlflow-skinny")
    place = f"file://{tmp_path}/mlruns"
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(TfchainError, match="MLflow at file:.* failed: The filesystem tracking backend"):
        MlflowRegistry(place).versions("docs")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database needs more packages
    registry = MlflowRegistry(place)
    manifest = registry.push(version, lineage={"training": {"run": "41"}})
    assert registry.push(version)["contents"] == manifest["contents"]
    assert registry.versions("docs") == [3]
    registry.set_stage("docs", "production", 3)
    fetched = registry.fetch("docs", "production", to=tmp_path / "here")
    assert hash_version(fetched) == hash_version(version)
    assert registry.fetch("docs", 3, to=tmp_path / "there").name == "3"
    with pytest.raises(InputError, match="Received: docs version 4. Push it."):
        registry.fetch("docs", 4, to=tmp_path / "here")
    (version / "saved_model.pb").write_bytes(b"another graph")
    with pytest.raises(InputError, match="The registry has another version 3 of docs"):
        registry.push(version)


def test_without_the_package_the_error_says_what_to_install(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingPackageError, match="needs the package mlflow-skinny. Install it: pip install 'tfchain"):
        MlflowRegistry("http://mlflow:5000").push(version)
