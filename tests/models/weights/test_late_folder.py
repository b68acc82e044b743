"""What the settings of a folder of late interaction mean, and which are refused."""

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.models.weights.test_folder import BERT
from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.late_folder import Expansion, find_late_place, is_late_folder, read_late_folder

ST = "sentence_transformers."
TRANSFORMER = ST + "base.modules.transformer.Transformer"
DENSE = ST + "base.modules.dense.Dense"
MASK = ST + "multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask"
NORMALIZE = ST + "base.modules.normalize.Normalize"


def write(folder: Path, kinds: list[str], settings: dict[str, Any], **modules: Any) -> Path:
    """A folder of modules, of which `modules` has the configurations by name."""
    listed = [{"idx": n, "path": str(n) if n else "", "type": kind} for n, kind in enumerate(kinds)]
    files: dict[str, Any] = {"config.json": BERT, "modules.json": listed}
    files |= {"config_sentence_transformers.json": settings}
    for number, kind in enumerate(kinds):
        name = kind.rsplit(".", 1)[-1]
        values = {"in_features": 8, "out_features": 4, "bias": False, "activation_function": "Identity"}
        given = modules.get(name, values if name == "Dense" else {})
        files["sentence_bert_config.json" if not number else f"{number}/config.json"] = given
        (folder / (str(number) if number else "")).mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def test_stanfords_settings_and_what_they_are_without_its_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**BERT, "architectures": ["HF_ColBERT"]}))
    save_file({"linear.weight": np.ones((4, 8), "float32")}, tmp_path / "model.safetensors")
    read = read_late_folder(tmp_path, 16)
    assert find_late_place(tmp_path) == tmp_path
    assert read.prompts == {"query": "[unused0] ", "document": "[unused1] "}
    assert read.markers == ("[unused0]", "[unused1]")
    assert (read.expansion, read.scale, read.normalize) == (Expansion(32), "sum", True)
    assert read.skipped_words == tuple(string.punctuation)
    assert [(one.in_dim, one.out_dim, one.use_bias) for one in read.dense] == [(8, 4, False)]
    values = {"query_maxlen": 8, "doc_maxlen": 12, "attend_to_mask_tokens": True, "mask_punctuation": False}
    (tmp_path / "artifact.metadata").write_text(json.dumps(values))
    read = read_late_folder(tmp_path, 16)
    assert (read.expansion, read.skipped_words) == (Expansion(8, attends=True), ())
    assert read.settings.document_length == 12
    (tmp_path / "artifact.metadata").write_text(json.dumps({"similarity": "l2"}))
    with pytest.raises(ModelFolderError, match="must have similarity='cosine'. Received: 'l2'"):
        read_late_folder(tmp_path, 16)


@pytest.mark.parametrize(
    ("settings", "expansion", "skipped"),
    [
        ({"model_type": "ColBERT", "query_length": 9}, Expansion(9), tuple(string.punctuation)),
        ({"model_type": "ColBERT", "do_query_expansion": False, "skiplist_words": []}, None, ()),
        ({"query_prefix": "[Q] ", "attend_to_expansion_tokens": True}, Expansion(32, True), tuple(string.punctuation)),
        ({}, None, ()),
    ],
)
def test_pylates_settings(
    tmp_path: Path, settings: dict[str, Any], expansion: Expansion | None, skipped: tuple[str, ...]
) -> None:
    read = read_late_folder(write(tmp_path, [TRANSFORMER, "pylate.models.Dense.Dense"], settings), 16)
    assert is_late_folder(tmp_path)
    assert (read.expansion, read.skipped_words, read.normalize) == (expansion, skipped, True)
    assert read.markers == (("[Q] ",) if "query_prefix" in settings else ())


def test_the_settings_of_a_multi_vector_encoder(tmp_path: Path) -> None:
    settings = {"model_type": "MultiVectorEncoder", "similarity_fn_name": "meanmaxsim", "prompts": {"query": "q: "}}
    expansion = {"strategy": "min", "attend": True, "token": "[x]", "length": 6}
    own = {"document_length": 12, "query_length": 9, "query_expansion": expansion}
    kinds = [TRANSFORMER, DENSE, MASK, NORMALIZE]
    read = read_late_folder(
        write(tmp_path, kinds, settings, Transformer=own, MultiVectorMask={"skiplist_words": ["."]}), 16
    )
    assert read.expansion == Expansion(6, True, False, "[x]")
    assert (read.skipped_words, read.scale, dict(read.prompts)) == ((".",), "mean", {"query": "q: "})
    assert (read.settings.document_length, read.settings.query_length) == (12, 9)
    read = read_late_folder(write(tmp_path, kinds[:3], settings), 16)
    assert (read.normalize, read.expansion) == (False, None)


@pytest.mark.parametrize(
    ("kinds", "modules", "message"),
    [
        ([TRANSFORMER, DENSE, ST + "models.Pooling", MASK], {}, "Received: Transformer, Dense, Pooling, MultiV"),
        ([TRANSFORMER, NORMALIZE, DENSE, MASK], {}, "must list Normalize after Dense"),
        ([TRANSFORMER, DENSE, MASK], {"Transformer": {"query_expansion": {"strategy": "most", "length": 3}}},
         "expands queries by"),
        ([TRANSFORMER, DENSE, MASK], {"Dense": {"module_input_name": "sentence_embedding"}}, "must project token"),
        ([TRANSFORMER, DENSE, MASK], {"MultiVectorMask": {"skiplist_words": ["."], "skiplist_tasks": ["query"]}},
         "must skip tokens of documents alone"),
        ([TRANSFORMER, DENSE, MASK], {"MultiVectorMask": {"keep_only_token_ids": [4]}}, "keep_only_token_ids"),
        ([TRANSFORMER, DENSE, MASK], {"Dense": {"bias": False}}, "cannot be read: KeyError: 'in_features'"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, kinds: list[str], modules: dict[str, Any], message: str) -> None:
    write(tmp_path, kinds, {"model_type": "MultiVectorEncoder"}, **modules)
    with pytest.raises(ModelFolderError, match=message):
        read_late_folder(tmp_path, 16)


def test_another_kind_of_folder_says_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, [TRANSFORMER, ST + "models.Pooling"], {})
    with pytest.raises(ModelFolderError, match="a sentence-transformers folder of Transformer, Pooling. To train one"):
        find_late_place(tmp_path)
    (tmp_path / "modules.json").unlink()
    with pytest.raises(ModelFolderError, match="Received: a folder without `architectures`"):
        find_late_place(tmp_path)
