"""The small model that comes with tfchain: there, small, shipped, and of use without a hub."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from setuptools.dist import Distribution

from tfchain import NeuralSearchChain
from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models import bundled
from tfchain.models.bundled import find_bundled_model
from tfchain.models.text_encoder import TextEncoder

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 12_000_000


def test_a_chain_without_arguments_finds_what_is_meant() -> None:
    chain = NeuralSearchChain(engine="tensorflow").add(
        [
            "The cat sleeps on the warm windowsill.",
            "Shares fell sharply when the central bank raised interest rates.",
            "Plants turn sunlight into chemical energy.",
        ]
    )
    assert chain.search("Why did the stock market go down?")["answer"].startswith("Shares fell")
    assert chain.search("photosynthesis")["answer"].startswith("Plants")
    assert chain.search("a pet taking a nap")["answer"].startswith("The cat")


def test_its_files_are_small_and_its_vectors_the_teachers(minilm_path: Path) -> None:
    folder = find_bundled_model()
    texts = ["How do I reset my password?", "The mitochondrion is the powerhouse of the cell.", "He plays the violin."]
    small, large = (TextEncoder.from_pretrained(one, engine="tensorflow") for one in (folder, minilm_path))

    assert sum(one.stat().st_size for one in folder.rglob("*") if one.is_file()) <= MOST_BYTES
    cosines = np.sum(small.encode(texts) * large.encode(texts), axis=1)
    assert cosines.min() > 0.75
    assert small.tokenizer.max_length == large.tokenizer.max_length


def test_what_was_measured_stands_beside_it() -> None:
    values = json.loads((find_bundled_model() / "training.json").read_text(encoding="utf-8"))

    assert values["evaluation"]["scifact"]["kept"] >= 0.9
    assert values["evaluation"]["squad_dev"]["kept"] >= 0.9
    assert len(values["texts"]["sha256"]) == 64


def test_a_wheel_holds_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    distribution = Distribution()
    distribution.parse_config_files(["setup.cfg"])
    command = distribution.get_command_obj("build_py")
    command.ensure_finalized()
    shipped = {
        os.path.relpath(file, "small_english")
        for _, _, _, files in command.data_files
        for file in files
        if file.startswith("small_english")
    }
    folder = find_bundled_model()
    assert shipped == {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}


def test_a_tokenizer_alone_is_refused() -> None:
    with pytest.raises(InputError, match="A tokenizer needs the model that it belongs to. Received: model=None"):
        NeuralSearchChain(tokenizer="bert-base-uncased")


def test_an_installation_without_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "BUNDLED_MODEL", tmp_path / "gone")
    with pytest.raises(ModelFolderError, match="lacks its small model. Expected: .*gone. Install the wheel"):
        NeuralSearchChain()
