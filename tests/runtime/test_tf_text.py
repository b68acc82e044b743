"""The door to TensorFlow Text."""

import sys

import pytest

from tfchain.core.errors import MissingPackageError
from tfchain.runtime.tf_text import load_tf_text


def test_it_gives_the_module() -> None:
    assert hasattr(load_tf_text(), "FastWordpieceTokenizer")


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(MissingPackageError, match=r"needs the package tensorflow-text.* Install it with `pip install"):
        load_tf_text()
