"""Which engine answered, from what was asked for, the version's files and the server's log."""

from pathlib import Path

import pytest

from tfchain.deployment.capacity.served_version import find_engine

NATIVE_LOG = "INFO The native engine answers embed, search of /tmp/base/1."


@pytest.mark.parametrize(
    ("asked", "files", "log", "found"),
    [
        ("auto", ("native", "litert"), NATIVE_LOG, "native"),
        ("auto", ("native", "litert"), "The native engine does not answer /tmp/base/1: no kernels.", "litert"),
        ("auto", ("native",), "", "tensorflow"),
        ("auto", ("litert",), "WARNING LiteRT does not answer /tmp/base/1: broken.", "tensorflow"),
        ("litert", (), "has no model.tflite: the SavedModel answers.", "tensorflow"),
        ("tensorflow", ("native", "litert"), "", "tensorflow"),
        ("native", ("native",), NATIVE_LOG, "native"),
    ],
)
def test_the_engine_is_found(asked: str, files: tuple[str, ...], log: str, found: str, tmp_path: Path) -> None:
    if "native" in files:
        (tmp_path / "assets.extra" / "tfchain_native").mkdir(parents=True)
    if "litert" in files:
        (tmp_path / "model.tflite").write_bytes(b"")

    assert find_engine(asked, tmp_path, log) == found
