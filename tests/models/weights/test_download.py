"""Finding a model's folder, and what is fetched of one on the hub: by a stand-in of the hub on folders."""

import fnmatch
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.weights.test_folder import BERT, write
from tests.models.weights.test_layer_pooling import write_mean
from tfchain.core.errors import ModelFolderError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.host import to_tokenizer
from tfchain.models.weights.download import find_local, find_model, find_tokenizer

PARITY = Path(__file__).parents[2] / "parity" / "fixtures"
NAME = "owner/model"


class Hub:
    """The functions of huggingface_hub that are used, on a folder; `fetched` has the paths that were fetched."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.snapshot = cache / "models--owner--model" / "snapshots" / "0123"
        self.fetched: list[str] = []
        self.versions: list[str | None] = []

    def snapshot_download(self, name: str, *, allow_patterns: list[str], revision: str | None = None) -> str:
        assert name == NAME
        self.versions.append(revision)
        self.snapshot.mkdir(parents=True, exist_ok=True)
        for file in self.list_repo_files(name):
            if any(fnmatch.fnmatch(file, pattern) for pattern in allow_patterns):
                place = self.snapshot / file
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.folder / file, place)
                self.fetched.append(file)
        return str(self.snapshot)

    def list_repo_files(self, name: str, *, revision: str | None = None) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(tmp_path / "hub", tmp_path / "cache")
    made.folder.mkdir()
    for name in ("snapshot_download", "list_repo_files"):
        monkeypatch.setattr(f"huggingface_hub.{name}", getattr(made, name))
    return made


def add(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"weights")


def test_only_what_is_needed_is_fetched(hub: Hub) -> None:
    shutil.copytree(PARITY / "distilbert", hub.folder, dirs_exist_ok=True)
    add(hub.folder, "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "onnx/model.onnx", "openvino/model.xml")
    (hub.folder / "calibration.json").write_text("{}")
    add(hub.folder, "onnx/model.safetensors", "model.fp16.safetensors", "rust_model.ot", "README.md", "train.py")
    made = TextEncoder.from_pretrained(NAME, engine="tensorflow")
    own = TextEncoder.from_pretrained(PARITY / "distilbert", engine="tensorflow")
    assert made.fingerprint == own.fingerprint
    files = [path for path in (PARITY / "distilbert").rglob("*") if path.is_file()]
    names = [str(path.relative_to(PARITY / "distilbert")) for path in files]
    assert sorted(set(hub.fetched)) == sorted([*names, "calibration.json"])
    assert hub.versions == [None, "0123"]  # one version, even if another is published in between


def test_files_of_pytorch_are_fetched_where_there_are_no_safetensors(hub: Hub) -> None:
    shutil.copytree(PARITY / "distilbert", hub.folder, dirs_exist_ok=True)
    for place in (".", "2_Dense"):
        (hub.folder / place / "model.safetensors").unlink()
    add(hub.folder, "pytorch_model-00001-of-00001.bin", "2_Dense/pytorch_model.bin", "onnx/pytorch_model.bin", "a.bin")
    index = {"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}
    (hub.folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    path, folder = find_model(NAME)
    assert folder.transformer_path == path == hub.snapshot
    assert [name for name in hub.fetched if ".bin" in name] == [
        "2_Dense/pytorch_model.bin", "pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json",
    ]  # fmt: skip


def test_the_table_of_a_static_encoder_is_fetched_before_its_shape_is_known(hub: Hub) -> None:
    shutil.copytree(PARITY / "static", hub.folder, dirs_exist_ok=True)
    add(hub.folder, "onnx/model.onnx")
    made = TextEncoder.from_pretrained(NAME)
    assert made.fingerprint == TextEncoder.from_pretrained(PARITY / "static").fingerprint
    assert "onnx/model.onnx" not in hub.fetched


def test_both_routes_of_a_router_are_fetched(hub: Hub) -> None:
    shutil.copytree(PARITY / "router", hub.folder, dirs_exist_ok=True)
    add(hub.folder, "onnx/model.onnx", "query_0_StaticEmbedding/pytorch_model.bin")
    made = TextEncoder.from_pretrained(NAME, engine="tensorflow")
    own = TextEncoder.from_pretrained(PARITY / "router", engine="tensorflow")
    assert made.query_route is not None
    np.testing.assert_array_equal(made.encode_query(["a fox"]), own.encode_query(["a fox"]))
    np.testing.assert_array_equal(made.encode_document(["a fox"]), own.encode_document(["a fox"]))
    files = [path for path in (PARITY / "router").rglob("*") if path.is_file()]
    assert sorted(set(hub.fetched)) == sorted(str(path.relative_to(PARITY / "router")) for path in files)


def test_a_broken_router_on_the_hub_is_one_clear_error(hub: Hub) -> None:
    shutil.copytree(PARITY / "router", hub.folder, dirs_exist_ok=True)
    (hub.folder / "router_config.json").write_text("{}")
    with pytest.raises(ModelFolderError, match="has a configuration that cannot be read: KeyError: 'types'"):
        TextEncoder.from_pretrained(NAME)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**BERT, "model_type": "gpt2"}, "has the architecture 'gpt2'"),
        ({**BERT, "architectures": ["BertForSequenceClassification"]}, "tfchain.Reranker takes it"),
        ({**BERT, "quantization_config": {"quant_method": "gptq"}}, "weights quantized by gptq"),
    ],
)
def test_a_model_that_is_not_supported_is_refused_before_its_weights_are_fetched(
    hub: Hub, config: dict[str, Any], message: str
) -> None:
    write(hub.folder, config=config)
    add(hub.folder, "model.safetensors", "tokenizer.json")
    with pytest.raises(ModelFolderError, match=message):
        find_model(NAME)
    assert hub.fetched == ["config.json"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ["model-q4.gguf"],
            r"owner/model is not a model folder: .* but weights for llama.cpp \(GGUF\) \(model-q4.gguf",
        ),
        (["onnx/model.onnx"], r"an ONNX graph \(onnx/model.onnx\). Use the checkpoint"),
        (["README.md"], "it has no config.json. Use a folder"),
    ],
)
def test_a_repository_for_other_programs_says_what_it_holds(hub: Hub, files: list[str], message: str) -> None:
    add(hub.folder, *files)
    with pytest.raises(ModelFolderError, match=message):
        find_model(NAME)
    write(hub.folder)
    with pytest.raises(ModelFolderError, match="owner/model has no weights to read. Expected: model.safetensors or"):
        find_model(NAME)
    assert not {"model-q4.gguf", "onnx/model.onnx"} & set(hub.fetched)


def test_an_adapter_on_the_hub_is_named(hub: Hub) -> None:
    add(hub.folder, "adapter_model.safetensors")
    (hub.folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "a/b"}')
    with pytest.raises(ModelFolderError, match=r"holds a PEFT adapter \(LORA\) for a/b, not a whole model. Merge it"):
        find_model(NAME)
    assert hub.fetched == ["adapter_config.json"]


def test_a_tokenizer_is_fetched_without_a_model(hub: Hub) -> None:
    shutil.copytree(PARITY / "bert", hub.folder, dirs_exist_ok=True)
    assert len(to_tokenizer(NAME)) == 230
    assert sorted(set(hub.fetched)) == ["config.json", "tokenizer.json", "tokenizer_config.json"]
    assert find_tokenizer(hub.folder) == hub.folder


def test_folders_are_found_by_the_names_that_people_give_them(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "my models" / "bert, 你好"
    folder.parent.mkdir()
    shutil.copytree(tiny_model_path, folder)
    assert find_local("~/my models/bert, 你好") == folder
    assert find_local(folder) == folder
    monkeypatch.chdir(folder.parent)
    encoder = TextEncoder.from_pretrained("bert, 你好", engine="tensorflow")
    assert encoder.fingerprint == TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow").fingerprint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no such folder", "No model folder 'no such folder': the path does not exist"),
        ("~/missing", "No model folder '~/missing': the path does not exist"),
        ("file.txt", "which is a file. Use the file's folder"),
        ("", "must be a folder or a hub name. Received: ''"),
        (" ", "must be a folder or a hub name. Received: ' '"),
        (None, "Received: None of type NoneType"),
        (b"model", "Received: b'model' of type bytes"),
        ("a\0b", "No model folder"),
    ],
)
def test_what_names_no_folder_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "file.txt").touch()
    with pytest.raises(ModelFolderError, match=message):
        find_model(name)


def test_the_weights_of_a_mean_over_layers_are_fetched_before_the_shape_is_known(hub: Hub) -> None:
    write_mean(hub.folder, [1.0, 0.5, 2.0])
    add(hub.folder, "model.safetensors")
    _, folder = find_model(NAME)
    assert folder.encoder.transformer.layer_weights == (0.0, 1.0, 0.5, 2.0)
    assert hub.fetched.index("1/model.safetensors") < hub.fetched.index("model.safetensors")
