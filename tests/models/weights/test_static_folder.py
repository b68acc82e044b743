"""Folders of static encoders: what their tables are read as, and what is said of broken ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.folder import read_folder
from tfchain.models.weights.static_folder import is_model2vec
from tfchain.models.weights.tensor_files import write_tensors

FIXTURES = Path(__file__).parents[2] / "parity" / "fixtures"
STATIC = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}]


def write(folder: Path, modules: object, **tensors: np.ndarray) -> Path:
    (folder / "tokenizer.json").write_bytes((FIXTURES / "static" / "tokenizer.json").read_bytes())
    (folder / "modules.json").write_text(json.dumps(modules))
    write_tensors(folder / "model.safetensors", {name.replace("_", "."): array for name, array in tensors.items()})
    return folder


def test_rows_are_shared_and_weighted_as_model2vec_does(tmp_path: Path) -> None:
    size = TextEncoder.from_pretrained(FIXTURES / "static").config.transformer.vocabulary_size
    mapping, weights = np.arange(size) % 2, np.linspace(0.5, 1, size)
    rows = np.array([[1, 2, 3], [4, 5, 6]], "float32")
    folder = write(tmp_path, STATIC, embeddings=rows, mapping=mapping, weights=weights)
    encoder = TextEncoder.from_pretrained(folder).own_encoder
    np.testing.assert_allclose(np.asarray(encoder.weights[0]), rows[mapping] * weights[:, None], rtol=1e-6)
    assert not encoder.config.normalize


def test_a_folder_of_model2vec_leaves_out_unknown_words_and_truncates() -> None:
    folder = read_folder(FIXTURES / "static_plain_model2vec")
    assert (folder.max_length, folder.drops_unknown, folder.encoder.normalize) == (512, True, True)
    table = TextEncoder.from_pretrained(FIXTURES / "static_plain_model2vec").own_encoder.weights[0]
    assert not np.asarray(table)[1].any()
    with_modules = read_folder(FIXTURES / "static_model2vec")
    assert (with_modules.max_length, with_modules.drops_unknown) == (None, False)
    assert is_model2vec({"model_type": "model2vec"})
    assert not is_model2vec({"model_type": "bert"})


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, STATIC, other=np.zeros((2, 2), "float32"))
    with pytest.raises(ModelFolderError, match="must hold the table of a static encoder.* Received: other"):
        TextEncoder.from_pretrained(folder)


@pytest.mark.parametrize(
    "kinds", [("StaticEmbedding", "Pooling"), ("StaticEmbedding", "StaticEmbedding"), ("Normalize",)]
)
def test_modules_that_do_not_go_together_are_refused(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    modules = [
        {"path": str(number), "type": f"sentence_transformers.models.{kind}"} for number, kind in enumerate(kinds)
    ]
    folder = write(tmp_path, modules, embedding_weight=np.zeros((300, 2), "float32"))
    with pytest.raises(ModelFolderError, match="must list one Transformer, .*or one StaticEmbedding"):
        read_folder(folder)
