"""The examples of deployment targets run, and print what they promise."""

import runpy
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.deployment.targets.small_versions import write_small_version

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_kubernetes_canary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = write_small_version(tmp_path / "docs" / "4")
    runpy.run_path(str(EXAMPLES / "kubernetes_canary.py"))["main"]([str(version)])
    printed = capsys.readouterr().out

    assert "overlays/canary/deployment.yaml" in printed
    assert "Upload the version first: rclone copy .../docs/4 gs://bucket/models/docs/4" in printed
    assert "Kubernetes 1.25, 1.31, 1.37 take Deployment docs-canary." in printed
    assert "Kubernetes 1.25, 1.31, 1.37 take NetworkPolicy docs." in printed
    assert "1 pod of 9 runs the new version: 11 % of the connections." in printed


def test_deploy_docker(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from tfchain import NeuralSearchChain

    def add(chain: NeuralSearchChain, documents: Iterable[dict[str, str]]) -> NeuralSearchChain:
        assert [document["id"] for document in documents] == ["merge", "copy", "date"]
        return chain  # encoding and exporting take seconds, and have tests of their own

    monkeypatch.setattr(NeuralSearchChain, "add", add)
    monkeypatch.setattr(NeuralSearchChain, "_export", lambda _, path, **__: write_small_version(Path(path) / "1"))
    out = tmp_path / "build"
    runpy.run_path(str(EXAMPLES / "deploy_docker.py"))["main"](["--out", str(out)])
    printed = capsys.readouterr().out

    assert "compose.yaml" in printed
    assert "FROM tensorflow/serving:2.20.0" in printed
    assert "USER 10001:10001" in printed
    assert "on this machine alone: True" in printed
    assert "cannot write its files: True" in printed
    assert f"Start it: cd {out} && docker compose up --build" in printed
