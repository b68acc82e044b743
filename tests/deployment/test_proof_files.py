from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.core.proof import Proof
from tfchain.deployment.proof_files import PROOFS, read_proofs, write_proofs


def test_proofs_are_read_as_they_were_written(tmp_path: Path) -> None:
    texts = np.array([[b"a", "你好".encode()], [b"\xff\x00", b""]], dtype=object)
    inputs = {"text": texts, "allowed": np.array([True, False]), "ids": np.arange(6, dtype="int32").reshape(2, 3)}
    outputs = {"scores": np.array([[np.inf, -1.5]], "float32"), "empty": np.zeros((0, 4), "float32")}
    ties = {"scores": np.array([[True, False]])}
    write_proofs(tmp_path, [Proof("search", inputs, outputs, ties, tolerance=1e-3)], [Proof("embed", inputs, outputs)])
    (saved_model,), (native,) = read_proofs(tmp_path)
    assert (saved_model.signature, saved_model.tolerance, native.signature) == ("search", 1e-3, "embed")
    for found, expected in ((saved_model.inputs, inputs), (saved_model.outputs, outputs), (saved_model.ties, ties)):
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


def test_a_version_without_proofs_has_none(tmp_path: Path) -> None:
    write_proofs(tmp_path, [])
    assert list(tmp_path.iterdir()) == []
    assert read_proofs(tmp_path) == ([], [])


@pytest.mark.parametrize("damage", [b"", b"not gzip", "cut"])
def test_a_damaged_file_is_a_clear_error(tmp_path: Path, damage: bytes | str) -> None:
    write_proofs(tmp_path, [Proof("embed", {"x": np.arange(3.0)}, {"y": np.arange(3.0)})])
    file = tmp_path / PROOFS
    file.write_bytes(file.read_bytes()[:-12] if isinstance(damage, str) else damage)
    with pytest.raises(InputError, match="must be what the export wrote. Received: a file that cannot be read"):
        read_proofs(tmp_path)
