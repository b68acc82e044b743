"""Folders that are no sparse encoders, or ones that tfchain does not have."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tfchain import SparseEncoder
from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.sparse_folder import read_sparse_folder, read_table

FIXTURES = Path(__file__).parents[2] / "parity" / "sparse_fixtures"


@pytest.fixture
def splade(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "splade", tmp_path / "splade"))


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_routes_of_a_router() -> None:
    documents, queries = read_sparse_folder(FIXTURES / "opensearch")
    assert (documents.activation, documents.pooling, documents.table) == ("log1p_relu", "max", None)
    assert queries.table == FIXTURES / "opensearch" / "query_0_SparseStaticEmbedding"
    assert read_sparse_folder(FIXTURES / "roberta")[1].pooling == "sum"


def test_other_folders_are_refused(splade: Path, tiny_model_path: Path) -> None:
    with pytest.raises(
        ModelFolderError, match="must hold a SparseEncoder of sentence-transformers. Received: .*Pooling"
    ):
        SparseEncoder.from_pretrained(tiny_model_path)
    with pytest.raises(ModelFolderError, match="is read from a folder. Received: naver/splade-v3"):
        SparseEncoder.from_pretrained("naver/splade-v3")
    change(splade / "1_SpladePooling" / "config.json", pooling_strategy="mean")
    with pytest.raises(ModelFolderError, match="must have a pooling of max, sum. Received: 'mean'"):
        read_sparse_folder(splade)
    (splade / "modules.json").write_text(
        '[{"path": "", "type": "sentence_transformers.sparse_encoder.x.SparseAutoEncoder"}]'
    )
    with pytest.raises(
        ModelFolderError, match="must list a masked language model and SpladePooling.*SparseAutoEncoder"
    ):
        read_sparse_folder(splade)
    (splade / "modules.json").unlink()
    with pytest.raises(ModelFolderError, match=r"a folder without modules.json. Save the model"):
        read_sparse_folder(splade)


def test_a_head_that_is_missing_is_named(splade: Path) -> None:
    tensors = load_file(splade / "model.safetensors")
    del tensors["cls.predictions.bias"]
    save_file(tensors, splade / "model.safetensors")
    with pytest.raises(ModelFolderError, match="lacks the head of a masked language model: cls.predictions.bias"):
        SparseEncoder.from_pretrained(splade)


def test_a_table_of_another_size_is_refused(tmp_path: Path) -> None:
    save_file({"weight": np.ones(3, "float32")}, tmp_path / "model.safetensors")
    with pytest.raises(ModelFolderError, match=r"must hold a weight for each of 4 tokens. Received: \(3,\)"):
        read_table(tmp_path, 4)
    assert read_table(tmp_path, 3).tolist() == [1, 1, 1]
