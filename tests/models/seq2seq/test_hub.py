"""A model on the hub is fetched in two steps: PyTorch's weights only where there are no others."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from tests.models.seq2seq.conftest import FIXTURES
from tfchain.models.seq2seq.hub import fetch_seq2seq


@pytest.mark.parametrize("has_safetensors", [True, False])
def test_pytorchs_weights_are_fetched_only_where_they_are_needed(
    has_safetensors: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(FIXTURES / "t5", tmp_path / "t5")
    if not has_safetensors:
        (tmp_path / "t5" / "model.safetensors").unlink()
    asked: list[Sequence[str]] = []

    def download(name: str, *, allow_patterns: Sequence[str], **_: Any) -> str:
        assert name == "someone/t5"
        asked.append(allow_patterns)
        return str(tmp_path / "t5")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert fetch_seq2seq("someone/t5") == tmp_path / "t5"
    assert "source.spm" in asked[0]
    assert "pytorch_model.bin" not in asked[0]
    assert [any("pytorch_model.bin" in patterns for patterns in asked)] == [not has_safetensors]
