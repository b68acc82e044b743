"""Safetensors files, beside the library of that name, and what is said of damaged ones."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.stored_weights import quantize_tensors
from tfchain.models.weights.tensor_files import TensorFile, TensorFiles, write_tensors

TENSORS = {
    "a": np.arange(6, dtype="float32").reshape(2, 3),
    "b": np.array(7, dtype="int64"),
    "c": np.zeros((0, 4), dtype="int8"),
    "d": np.array([1.5, -2], dtype="float16"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "x.safetensors", metadata={"format": "pt"})
    return tmp_path / "x.safetensors"


def test_tensors_are_those_that_the_library_wrote(path: Path) -> None:
    file = TensorFile(path)
    assert sorted(file.names) == sorted(TENSORS)
    for name, array in TENSORS.items():
        assert file.shape(name) == array.shape
        np.testing.assert_array_equal(file.read(name), array, strict=True)
    assert "e" not in file


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    # 1 is sign 0, exponent 127 = 0x3f80; -2.5 is sign 1, exponent 128, mantissa 01000… = 0xc020
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(header)) + header + b"\x80\x3f\x20\xc0")
    np.testing.assert_array_equal(TensorFile(tmp_path / "x").read("a"), np.array([1, -2.5], "float32"), strict=True)


def test_some_rows_are_those_of_the_whole(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    stored = {"a": random.normal(size=(5, 2, 3)).astype("float32"), "b": random.normal(size=(5, 4)).astype("float32")}
    numbers = quantize_tensors(stored)  # the matrix becomes int8 with scales
    write_tensors(tmp_path / "model.safetensors", numbers)
    np.testing.assert_array_equal(
        TensorFile(tmp_path / "model.safetensors").read_rows("a", slice(1, 4)), stored["a"][1:4]
    )
    files = TensorFiles(tmp_path)
    for name in stored:
        blocks = list(files.read_blocks(name, 2))
        assert [len(block) for block in blocks] == [2, 2, 1]
        np.testing.assert_array_equal(np.concatenate(blocks), files[name], strict=True)


def test_a_file_that_is_open_is_read_when_another_has_taken_its_place(path: Path) -> None:
    file = TensorFile(path)
    write_tensors(path.with_name("new"), {"a": np.ones((2, 3), "float32")})
    path.with_name("new").replace(path)
    np.testing.assert_array_equal(file.read("a"), TENSORS["a"])
    path.unlink()
    np.testing.assert_array_equal(file.read("d"), TENSORS["d"])


@pytest.mark.parametrize("content", [b"", b"x" * 400])
def test_a_file_that_is_written_to_while_it_is_open_is_one_clear_error(path: Path, content: bytes) -> None:
    file = TensorFile(path)
    path.write_bytes(content)
    with pytest.raises(ModelFolderError, match="x.safetensors cannot be read: it .*Get the file again."):
        file.read("a")


def damage(content: bytes, kind: str) -> bytes:
    length = struct.unpack("<Q", content[:8])[0]
    values = json.loads(content[8 : 8 + length])
    if kind == "cut off":
        return content[:-1]
    if kind == "longer":
        return content + b"x"
    if kind == "no header":
        return content[:5]
    if kind == "huge header":
        return b"\xff" * 8 + content[8:]
    if kind == "no JSON":
        return content[:8] + b"{" * length + content[8 + length :]
    if kind == "overlap":
        values["d"]["data_offsets"] = values["a"]["data_offsets"]
    if kind == "other shape":
        values["a"]["shape"] = [2, 4]
    if kind == "negative":
        values["c"]["shape"] = [-1, 0]
    if kind == "type":
        values["a"]["dtype"] = "F8_E4M3"
    if kind == "list":
        values = {"a": [1]}
    header = json.dumps(values).encode()
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


@pytest.mark.parametrize(
    "kind",
    ["cut off", "longer", "no header", "huge header", "no JSON", "overlap", "other shape", "negative", "type", "list"],
)
def test_a_damaged_file_is_named(path: Path, kind: str) -> None:
    path.write_bytes(damage(path.read_bytes(), kind))
    with pytest.raises(ModelFolderError, match="x.safetensors cannot be read: "):
        TensorFile(path)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="none cannot be read: No such file or directory"):
        TensorFile(tmp_path / "none")


def test_a_folder_knows_its_tensors_without_reading_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.rename(path.with_name("model.safetensors"))
    tensors = TensorFiles(path.parent)
    monkeypatch.setattr(TensorFile, "read", None)
    assert "a" in tensors
    assert "e" not in tensors
    with pytest.raises(ModelFolderError, match="lacks the tensor e; it has a, b, c, d"):
        tensors["e"]
