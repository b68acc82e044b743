"""What is said of folders without weights that tfchain reads: adapters, quantized weights, other programs' files."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.models.weights.test_folder import BERT, MODULE, write
from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.folder import read_folder
from tfchain.models.weights.folder_contents import list_weight_files
from tfchain.models.weights.stored_encoder import StoredEncoder


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "Received: neither. Use a folder that save_pretrained"),
        (["model.gguf"], r"weights for llama.cpp \(GGUF\) \(model.gguf\). Use the checkpoint from which"),
        (["onnx/model.onnx", "onnx/model_q.onnx"], r"an ONNX graph \(onnx/model.onnx, onnx/model_q.onnx\)"),
        (["openvino/openvino_model.xml"], "an OpenVINO graph"),
        (["tf_model.h5"], "weights for the TensorFlow models of old transformers"),
        (["flax_model.msgpack"], "weights for Flax"),
        (["weights.bin"], "PyTorch weights under another name"),
        ([f"{n}.pt" for n in range(6)], r"checkpoint \(0.pt, 1.pt, 2.pt, 3.pt …\)"),
    ],
)
def test_a_folder_without_weights_says_what_it_has(tmp_path: Path, files: list[str], message: str) -> None:
    folder = write(tmp_path)
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    start = "has no weights to read. Expected: model.safetensors or pytorch_model.bin. Received: "
    with pytest.raises(ModelFolderError, match=f"{start}.*{message}" if files else start + message[10:]):
        StoredEncoder(read_folder(folder))
    (folder / "config.json").unlink()
    with pytest.raises(ModelFolderError, match="is not a model folder: it has no config.json"):
        read_folder(folder)


@pytest.mark.parametrize("kinds", [None, [MODULE + "Transformer"]])
def test_an_adapter_is_named_with_its_model(tmp_path: Path, kinds: list[str] | None) -> None:
    folder = write(tmp_path, kinds)
    values = {"peft_type": "LORA", "base_model_name_or_path": "BAAI/bge-m3"}
    (folder / "adapter_config.json").write_text(json.dumps(values))
    with pytest.raises(ModelFolderError, match=r"holds a PEFT adapter \(LORA\) for BAAI/bge-m3.*merge_and_unload"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("quantized", "method"),
    [({"quant_method": "awq"}, "awq"), ({"load_in_8bit": True}, "an unnamed method"), ("fp8", "an unnamed method")],
)
@pytest.mark.parametrize("kinds", [None, [MODULE + "Transformer"]])
def test_quantized_weights_are_named(tmp_path: Path, kinds: list[str] | None, quantized: Any, method: str) -> None:
    folder = write(tmp_path, kinds, config={**BERT, "quantization_config": quantized})
    with pytest.raises(ModelFolderError, match=f"weights quantized by {method} .*`precision='int8'`"):
        read_folder(folder)


def test_a_module_whose_folder_is_missing_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, [MODULE + "Transformer", MODULE + "Pooling"])
    (folder / "1" / "config.json").unlink()
    with pytest.raises(ModelFolderError, match="1 is not a model folder: it has no config.json"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["pytorch_model.bin", "model.safetensors"], ["model.safetensors"]),
        (["pytorch_model.bin"], ["pytorch_model.bin"]),
        (["model.int8.safetensors", "model.safetensors"], ["model.int8.safetensors"]),
        (["pytorch_model.bin", "model.safetensors.index.json"], ["a.safetensors"]),
    ],
)
def test_safetensors_come_before_files_of_pytorch(tmp_path: Path, files: list[str], found: list[str]) -> None:
    for name in (*files, "a.safetensors"):
        (tmp_path / name).write_text('{"weight_map": {"a": "a.safetensors"}}')
    assert list_weight_files(tmp_path) == found


@pytest.mark.parametrize("content", ["{}", "[]", '{"weight_map": {}}', '{"weight_map": {"a": 1}}', '{"weight_map": 1}'])
def test_a_damaged_index_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ModelFolderError, match="index.json must have a `weight_map` from tensors to files beside it"):
        list_weight_files(tmp_path)
