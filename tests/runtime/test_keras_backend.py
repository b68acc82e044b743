"""Keras on another backend than TensorFlow ends in an error that says where it is set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.runtime.keras_backend import check_keras_backend, find_keras_backend


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


@pytest.fixture
def no_keras(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As in a process that has not imported Keras."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    return monkeypatch


@pytest.mark.parametrize("room", ["models.text_encoder", "training.losses", "optimization.recipes"])
def test_another_backend_in_the_environment_is_not_a_missing_module_jax(room: str) -> None:
    done = run(f"import tfchain; import tfchain.{room}", KERAS_BACKEND="jax")
    assert "ModuleNotFoundError" not in done.stderr
    assert (
        "InputError: tfchain needs Keras on the backend 'tensorflow'. Received: 'jax' from the environment variable "
        "KERAS_BACKEND. Set KERAS_BACKEND=tensorflow in the environment"
    ) in done.stderr


def test_what_needs_no_keras_works_with_another_backend() -> None:
    done = run("from tfchain import Client, Document; print(Document(id='1', text='a').text)", KERAS_BACKEND="jax")
    assert (done.stdout, done.returncode) == ("a\n", 0), done.stderr


def test_a_backend_that_keras_json_names_is_found_as_keras_finds_it(
    no_keras: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_keras.delenv("KERAS_BACKEND", raising=False)
    no_keras.setenv("KERAS_HOME", str(tmp_path))
    assert find_keras_backend() == ("tensorflow", "Keras' default")
    settings = tmp_path / "keras.json"
    settings.write_text("{")
    check_keras_backend()
    settings.write_text(json.dumps({"backend": "torch"}))
    with pytest.raises(InputError, match=f"Received: 'torch' from {settings}"):
        check_keras_backend()
    no_keras.setenv("KERAS_BACKEND", "tensorflow")  # wins
    check_keras_backend()
    no_keras.delenv("KERAS_BACKEND")
    no_keras.delenv("KERAS_HOME")
    no_keras.setenv("HOME", str(tmp_path))
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert find_keras_backend() == ("jax", str(tmp_path / ".keras" / "keras.json"))


def test_of_a_keras_that_is_imported_its_own_word_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    check_keras_backend()
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    with pytest.raises(InputError, match="Received: 'torch' from Keras, which is already imported"):
        check_keras_backend()
