"""PyTorch's files of weights: the tensors that PyTorch wrote, and what hostile and damaged files come to."""

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.tensor_files import TensorFiles
from tfchain.models.weights.torch_file import TorchFile
from tfchain.models.weights.torch_pickle import MOST_OPCODES

FILES = Path(__file__).parent / "torch_files"
COUNTED = np.arange(24, dtype="float32").reshape(4, 6)
EXPECTED = {
    "float32": COUNTED,
    "transposed": COUNTED.T,
    "column": np.array([8, 14, 20], dtype="float32"),
    "block": COUNTED[1:3, 2:5],
    "float64": np.array([0.1, -2.0]),
    "float16": np.array([1.5, -2.0], dtype="float16"),
    "bfloat16": np.array([[1.0], [-2.5]], dtype="float32"),
    "int64": np.array([[0, 1, 2]]),
    "int32": np.array([7], dtype="int32"),
    "int16": np.array([-7], dtype="int16"),
    "int8": np.array([-128], dtype="int8"),
    "uint8": np.array([255], dtype="uint8"),
    "boolean": np.array([True, False]),
    "scalar": np.array(3.25, dtype="float32"),
    "empty": np.zeros((0, 4), dtype="float32"),
    "parameter": np.array([5.0], dtype="float32"),
}


@pytest.mark.parametrize("name", ["new.bin", "old.bin"])
def test_tensors_are_those_that_pytorch_wrote(name: str) -> None:
    file = TorchFile(FILES / name)
    assert file.names == list(EXPECTED)
    for tensor, array in EXPECTED.items():
        assert file.shape(tensor) == array.shape
        np.testing.assert_array_equal(file.read(tensor), array, strict=True, err_msg=tensor)
    assert "bfloat16" in file
    assert "other" not in file


def test_a_folder_with_such_a_file_alone_is_read(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes((FILES / "linear.bin").read_bytes())
    tensors = TensorFiles(tmp_path)
    assert sorted(tensors) == ["bias", "weight"]
    np.testing.assert_array_equal(tensors["weight"], np.arange(6).reshape(3, 2))


def test_shards_are_read_by_their_index(tmp_path: Path) -> None:
    (tmp_path / "one.bin").write_bytes((FILES / "linear.bin").read_bytes())
    (tmp_path / "two.bin").write_bytes((FILES / "new.bin").read_bytes())
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text('{"weight_map": {"weight": "one.bin", "float32": "two.bin"}}')
    assert {"weight", "float32"} <= set(TensorFiles(tmp_path))
    (tmp_path / "two.bin").unlink()
    with pytest.raises(ModelFolderError, match="lacks two.bin, 1 of the 2 files that pytorch_model.bin.index.json"):
        TensorFiles(tmp_path)
    index.write_text('{"weight_map": {"weight": "../one.bin"}}')
    with pytest.raises(ModelFolderError, match="a file is not in the index's folder"):
        TensorFiles(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("training.bin", r"more than tensors \(model, epoch\)"),
        ("program.bin", "asks for torch.nn.modules.linear.Linear, which no weights need and which may run code"),
        ("script.bin", "TorchScript program"),
    ],
)
def test_files_of_pytorch_that_are_no_weights_are_named(name: str, message: str) -> None:
    with pytest.raises(ModelFolderError, match=f"{name} cannot be read: .*{message}.* save the model as safetensors"):
        TorchFile(FILES / name)


# What `pickle.loads` would run: each leaves a trace if it does.
class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


class State:
    """Runs code by the state that BUILD sets."""

    def __getstate__(self) -> Any:
        return {"a": 1}

    def __setstate__(self, state: Any) -> None:
        os.environ["TFCHAIN_PICKLE"] = "ran"


CODE = "import os; os.environ['TFCHAIN_PICKLE'] = 'ran'"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
ORDERED_DICT = b"ccollections\nOrderedDict\n"
HOSTILE: dict[str, bytes] = {
    **{f"call in protocol {number}": pickle.dumps(Call(os.mkdir, "trace"), number) for number in (0, 2, 4, 5)},
    "system": pickle.dumps(Call(os.system, "touch trace"), 2),
    "exec": pickle.dumps(Call(exec, CODE), 2),
    "eval": pickle.dumps(Call(eval, "__import__('os').mkdir('trace')"), 2),
    "nested": pickle.dumps(OrderedDict(a=[Call(len, Call(exec, CODE))]), 2),
    "in a key": pickle.dumps({("a", Call(exec, CODE)): 1}, 2),
    "state": pickle.dumps(State(), 2),
    "getattr": b"\x80\x02cbuiltins\ngetattr\n.",
    "import": b"\x80\x02cimportlib\nimport_module\nX\x02\x00\x00\x00os\x85R.",
    "torch.load": b"\x80\x02ctorch\nload\n.",
    "inst": b"(S'trace'\nios\nmkdir\n.",
    "obj": b"(cos\nmkdir\nX\x05\x00\x00\x00traceo.",
    "obj of a known name": b"(" + ORDERED_DICT + b"o.",
    "new": b"\x80\x02" + ORDERED_DICT + b")\x81.",
    "new with names": b"\x80\x04" + ORDERED_DICT + b")}\x92.",
    "extension": b"\x80\x02\x82\x01.",
    "persistent id as a line": b"Pos\n.",
    "persistent id that is no storage": b"X\x02\x00\x00\x00osQ.",
    "name by memo": b"\x80\x04\x8c\x02os\x94\x8c\x05mkdir\x94\x93.",
    "name with dots": b"\x80\x04\x8c\x0bcollections\x8c\x15OrderedDict.__class__\x93.",
    "name of lists": b"\x80\x04]]\x93.",
    "state of a function": REBUILD + b"}b.",
    "state of a function, in slots": REBUILD + b"N}X\x0c\x00\x00\x00__defaults__)s\x86b.",
    "state that is no dict": b"}]b.",
    "state of a list": b"]}b.",
    "a name as the value": ORDERED_DICT + b".",
    "call of a storage": b"ctorch\nFloatStorage\n)R.",
    "call of a text": b"X\x02\x00\x00\x00os)R.",
    "call with a list": ORDERED_DICT + b"]R.",
    "dict of numbers": ORDERED_DICT + b"]K\x01a\x85R.",
    "tensor without storage": REBUILD + b"(NK\x00))tR.",
    "parameter of a dict": b"ctorch._utils\n_rebuild_parameter\n}NN\x87R.",
    "append to a dict": b"}K\x01a.",
    "items of a list": b"]X\x01\x00\x00\x00aK\x01s.",
    "numbers as keys": b"}K\x01K\x01s.",
    "half a pair": b"}(X\x01\x00\x00\x00au.",
    "tensors that are numbers": b"}X\x01\x00\x00\x00aK\x01s.",
    "empty stack": b".",
    "left over": b"NN.",
    "mark as a value": b"(.",
    "no mark": b"Nt.",
    "recall of nothing": b"h\x07.",
    "memory of nothing": b"q\x07.",
    "huge text": b"X\xff\xff\xff\xff.",
    "text that is not UTF-8": b"X\x01\x00\x00\x00\xff.",
    "endless name": b"c" + b"o" * 10_000,
    "cut off": b"\x80\x02}",
    "huge frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff.",
    "deep": b"N" + b"\x85" * 100_000 + b".",
    "itself": b"]q\x00h\x00a.",
    "a billion": b"]" + b"q\x00](" + b"h\x00" * 9 + b"e" * 1 + b".",
    "a deep key": b"}N" + b"\x85" * 1000 + b"q\x00" + b"(" + b"h\x00h\x00\x86q\x00" * 40 + b"K\x01u.",
    "too many steps": b"N" * (MOST_OPCODES + 1),
}


def wrap(content: bytes, kind: str) -> bytes:
    """A pickle as the whole file, in the older format, or in an archive."""
    if kind == "archive":
        return make_archive({"archive/data.pkl": content})
    heads = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    return (b"".join(pickle.dumps(head, 2) for head in heads) if kind == "old" else b"") + content


def make_archive(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return made.getvalue()


def read(folder: Path, content: bytes) -> TorchFile:
    (folder / "pytorch_model.bin").write_bytes(content)
    return TorchFile(folder / "pytorch_model.bin")


@pytest.mark.parametrize("kind", ["archive", "old", "bare"])
def test_hostile_pickles_end_in_one_error_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TFCHAIN_PICKLE", raising=False)
    for name, content in HOSTILE.items():
        with pytest.raises(ModelFolderError) as caught:
            read(tmp_path, wrap(content, kind))
        assert "pytorch_model.bin cannot be read: " in str(caught.value), name
        assert [path.name for path in tmp_path.iterdir()] == ["pytorch_model.bin"], name
        assert "TFCHAIN_PICKLE" not in os.environ, name


def test_the_hostile_pickles_would_run_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TFCHAIN_PICKLE", raising=False)
    for name in ("call in protocol 4", "system", "eval", "inst", "obj"):
        pickle.loads(HOSTILE[name])
        (tmp_path / "trace").rmdir() if (tmp_path / "trace").is_dir() else (tmp_path / "trace").unlink()
    for name in ("exec", "state"):
        pickle.loads(HOSTILE[name])
        assert os.environ.pop("TFCHAIN_PICKLE") == "ran"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    content = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def make_tensor(
    *, length: int = 6, offset: int = 0, shape: tuple[int, ...] = (2, 3), strides: tuple[int, ...] = (3, 1),
    key: str = "0", kind: str = "FloatStorage", more: bytes = b"",
) -> bytes:  # fmt: skip
    """The pickle of a dict of one tensor `a`, as PyTorch writes it."""
    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(length)
    tensor = REBUILD + b"(" + storage + more + b"tQ" + number(offset) + numbers(shape) + numbers(strides)
    return b"\x80\x02}" + text("a") + tensor + b"\x89" + ORDERED_DICT + b")RtRs."


def write_tensor(content: bytes, *, size: int = 24, **files: bytes) -> bytes:
    numbers = np.arange(size // 4, dtype="<f4").tobytes()
    return make_archive({"x/data.pkl": content, "x/data/0": numbers, **files})


def test_a_tensor_by_hand(tmp_path: Path) -> None:
    file = read(tmp_path, write_tensor(make_tensor(), **{"x/byteorder": b"little"}))
    np.testing.assert_array_equal(file.read("a"), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"offset": 1}, "outside a storage of 6"),
        ({"offset": -1}, "no whole number of at least 0"),
        ({"strides": (4, 1)}, "outside a storage of 6"),
        ({"strides": (-3, 1)}, "no whole number of at least 0"),
        ({"strides": (1,)}, "more dimensions than strides"),
        ({"shape": (7,), "strides": (0,)}, "outside a storage of 6"),  # repeats numbers
        ({"shape": (1 << 40, 1 << 40), "strides": (0, 0)}, "outside a storage of 6"),
        ({"shape": (1 << 63,), "strides": (0,)}, "no whole number"),
        ({"shape": (1,) * 17, "strides": (1,) * 17}, "without a shape"),
        ({"length": 7}, "24 bytes for a storage of 7 numbers"),
        ({"length": 5, "shape": (5,), "strides": (1,)}, "24 bytes for a storage of 5 numbers"),
        ({"length": 1 << 60}, "no whole number"),
        ({"key": "1"}, "it has no x/data/1"),
        ({"key": "../data.pkl"}, r"it has no x/data/\.\./data\.pkl"),
        ({"kind": "QInt8Storage"}, "asks for torch.QInt8Storage"),
        ({"kind": "DoubleStorage"}, "24 bytes for a storage of 6 numbers"),
        ({"more": b"(tN"}, "in another way than PyTorch"),
        ({"more": b"]"}, "a storage inside another"),
    ],
)
def test_a_tensor_that_does_not_lie_in_its_file_is_refused(
    tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelFolderError, match=f"pytorch_model.bin cannot be read: .*{message}"):
        read(tmp_path, write_tensor(make_tensor(**values)))


def damage(content: bytes, kind: str) -> bytes:
    """Damages an archive of one tensor."""
    directory = content.index(b"PK\1\2")
    changes = {
        "no end": (content.index(b"PK\5\6"), b"XX"),
        "directory elsewhere": (content.index(b"PK\5\6") + 16, b"\xff\xff\xff\x00"),
        "directory too long": (content.index(b"PK\5\6") + 12, b"\xff\xff\xff\x7f"),
        "another count": (content.index(b"PK\5\6") + 10, b"\x09\x00"),
        "64 bits that are not there": (content.index(b"PK\5\6") + 10, b"\xff\xff"),
        "entry": (directory, b"XX"),
        "entry too long": (directory + 28, b"\xff\xff"),
        "compressed": (directory + 10, b"\x08\x00"),
        "encrypted": (directory + 8, b"\x01\x00"),
        "another size": (directory + 24, b"\xff"),
        "both sizes": (directory + 20, b"\xff\xff\xff\x7f" * 2),
        "64-bit size that is not there": (directory + 20, b"\xff\xff\xff\xff" * 2),
        "another place": (directory + 42, b"\x05\x00"),
        "far place": (directory + 42, b"\xf0\xff\xff\x7f"),
        "local header": (0, b"PK\3\4XX"),
    }
    if kind == "cut off":
        return content[:-30]
    place, changed = changes[kind]
    return content[:place] + changed + content[place + len(changed) :]


@pytest.mark.parametrize(
    "kind",
    [
        *("no end", "directory elsewhere", "directory too long", "another count", "64 bits that are not there"),
        *("entry", "entry too long", "compressed", "encrypted", "another size", "both sizes", "cut off"),
        *("64-bit size that is not there", "another place", "far place"),
    ],
)
def test_a_damaged_archive_is_one_clear_error(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ModelFolderError, match="pytorch_model.bin cannot be read: "):
        read(tmp_path, damage(write_tensor(make_tensor()), kind))


def test_an_archive_that_unpacks_without_measure_is_not_unpacked(tmp_path: Path) -> None:
    files = {"x/data.pkl": make_tensor(length=1 << 28, shape=(1 << 28,), strides=(1,)), "x/data/0": bytes(1 << 20)}
    with pytest.raises(ModelFolderError, match="x/data.pkl in it is compressed or encrypted"):
        read(tmp_path, make_archive(files, zipfile.ZIP_DEFLATED))


def test_other_archives_and_files_are_named(tmp_path: Path) -> None:
    twice = make_archive({"x/data.pkl": make_tensor(), "x/data.pk2": b""}).replace(b"data.pk2", b"data.pkl")
    for content, message in (
        (twice, "it lists x/data.pkl twice"),
        (make_archive({"x/readme": b""}), "it has no x/data.pkl"),
        (make_archive({"x/data.pkl": bytes(17 << 20)}), "its pickle has 17825792 bytes"),
        (write_tensor(make_tensor(), **{"x/byteorder": b"big"}), "most significant byte first"),
        (b"", "not a file that torch.save wrote"),
        (b"GGUF", "not a file that torch.save wrote"),
        (pickle.dumps({"a": 1}), "a pickle that PyTorch did not write, and is not read: it may run code"),
    ):
        with pytest.raises(ModelFolderError, match=message):
            read(tmp_path, content)
    with pytest.raises(ModelFolderError, match="is a Git LFS pointer of 51 bytes, not the weights. Run `git lfs pull`"):
        read(tmp_path, b"version https://git-lfs.github.com/spec/v1\noid 1234\n"[:51])


@pytest.mark.parametrize("change", ["cut off", "longer", "another length", "another order", "big endian"])
def test_a_damaged_old_file_is_one_clear_error(tmp_path: Path, change: str) -> None:
    content = (FILES / "old.bin").read_bytes()
    if change == "cut off":
        content = content[:-1]
    elif change == "longer":
        content += b"x"
    elif change == "another length":
        content = content[:-12] + b"\x02" + content[-11:]
    elif change == "another order":
        content = content.replace(b"\xe9\x03.", b"\xea\x03.")
    else:
        content = content.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89")
    assert content != (FILES / "old.bin").read_bytes()
    with pytest.raises(ModelFolderError, match="pytorch_model.bin cannot be read: "):
        read(tmp_path, content)


def test_a_file_that_is_written_to_while_it_is_open_is_one_clear_error(tmp_path: Path) -> None:
    file = read(tmp_path, write_tensor(make_tensor()))
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(500))
    with pytest.raises(ModelFolderError, match="it has been written to since it was opened"):
        file.read("a")
    file = read(tmp_path, write_tensor(make_tensor()))
    other = tmp_path / "new"
    other.write_bytes(b"")
    other.replace(tmp_path / "pytorch_model.bin")
    np.testing.assert_array_equal(file.read("a"), [[0, 1, 2], [3, 4, 5]])
