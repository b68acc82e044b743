"""A server without TensorFlow: what the native engine does not answer is refused, and says so."""

import contextlib
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from tests.deployment.targets.small_versions import write_small_version
from tfchain.core.native import Answer, NativeEngine
from tfchain.deployment.server.servables import engines
from tfchain.deployment.server.servables.saved_model import LoadOptions
from tfchain.deployment.server.status import Code, StatusError
from tfchain.deployment.server.tensorflow_start import has_tensorflow


def load_lengths(path: Path, *, num_threads: int | None = None) -> Mapping[str, Answer]:
    return {"serving_default": lambda inputs, outputs, check_time: [np.array([len(inputs["text"])])]}


def test_without_tensorflow_other_signatures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "has_tensorflow", lambda: False)
    version = write_small_version(tmp_path / "docs" / "1", native=["serving_default"])
    native = NativeEngine(lambda: None, load_lengths)
    servable = engines.load_for_engine(version, LoadOptions(engine="native"), native=native)
    texts = {"text": np.array([b"a", b"b"], dtype=object)}

    with contextlib.closing(servable):
        (answer,) = servable.run(servable.signatures["serving_default"], texts, ["scores"])
        assert answer.tolist() == [2]
        with pytest.raises(StatusError, match="has no TensorFlow, .* native engine answers serving_default") as raised:
            servable.run(servable.signatures["embed"], texts, ["scores"])
    assert raised.value.code is Code.UNIMPLEMENTED


def test_messages_alone_are_no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_tensorflow()
    for found in (None, ModuleSpec("tensorflow", None, is_package=True)):  # a folder without __init__.py has no origin
        monkeypatch.setattr("importlib.util.find_spec", lambda _, found=found: found)
        assert not has_tensorflow()
