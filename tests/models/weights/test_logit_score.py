"""Rerankers that score by the probability of a token: their folders, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.reranker_folder import read_reranker_folder
from tfchain.models.weights.stored_encoder import StoredEncoder
from tfchain.models.weights.tensor_files import TensorFiles, write_tensors

FIXTURE = Path(__file__).parents[2] / "parity" / "reranker_fixtures" / "qwen3"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURE, tmp_path / "qwen3"))


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_folder_with_a_logit_score(folder: Path) -> None:
    made = read_reranker_folder(folder)
    assert made.activation == "sigmoid"
    before, between, after = made.model.encoder.transformer.pair_prompt
    assert before.startswith("<Instruct>: Find texts on lists.\n<Query>: ")  # of the default prompt
    assert (between, after) == ("\n<Document>: ", "<|endoftext|>\n<think>\n\n</think>\n")
    change(folder / "config_sentence_transformers.json", default_prompt_name=None)
    assert read_reranker_folder(folder).model.encoder.transformer.pair_prompt[0].startswith("<Instruct>: Answer the q")


def test_the_head_is_a_difference_of_rows(folder: Path) -> None:
    scores = json.loads((folder / "1_LogitScore" / "config.json").read_text())
    yes, no = scores["true_token_id"], scores["false_token_id"]
    tensors = dict(TensorFiles(folder))
    table = tensors["model.embed_tokens.weight"]
    kernel = StoredEncoder(read_reranker_folder(folder).model)["head/kernel"]
    np.testing.assert_array_equal(kernel[:, 0], table[yes] - table[no])

    write_tensors(folder / "model.safetensors", tensors | {"lm_head.weight": 2 * table})  # an own output embedding
    kernel = StoredEncoder(read_reranker_folder(folder).model)["head/kernel"]
    np.testing.assert_array_equal(kernel[:, 0], 2 * table[yes] - 2 * table[no])

    change(folder / "1_LogitScore" / "config.json", false_token_id=None)
    kernel = StoredEncoder(read_reranker_folder(folder).model)["head/kernel"]
    np.testing.assert_array_equal(kernel[:, 0], 2 * table[yes])


def test_folders_that_are_refused(folder: Path) -> None:
    scores = folder / "1_LogitScore" / "config.json"
    kept = json.loads(scores.read_text())
    for values, message in (
        ({"true_token_id": 10**6}, "must name tokens of the vocabulary"),
        ({"true_token_id": None}, "must name tokens of the vocabulary"),
        ({"module_input_name": "logits"}, "must have module_input_name='causal_logits'"),
    ):
        scores.write_text(json.dumps(kept | values))
        with pytest.raises(ModelFolderError, match=message):
            read_reranker_folder(folder)
    scores.write_text(json.dumps(kept))
    change(folder / "sentence_bert_config.json", processing_kwargs={"chat_template": {"restore_suffix": False}})
    with pytest.raises(ModelFolderError, match="settings of the prompt .* restore_suffix"):
        read_reranker_folder(folder)
    change(folder / "sentence_bert_config.json", processing_kwargs={"text": {"truncation": False, "stride": 3}})
    with pytest.raises(ModelFolderError, match="truncation=False, stride"):
        read_reranker_folder(folder)
    change(folder / "sentence_bert_config.json", processing_kwargs={"text": {"max_length": 50, "truncation": True}})
    assert read_reranker_folder(folder).model.max_length == 50
    change(folder / "sentence_bert_config.json", modality_config={"text": {}})
    with pytest.raises(ModelFolderError, match="must have `message` in modality_config"):
        read_reranker_folder(folder)
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*modules, modules[1]]))
    with pytest.raises(ModelFolderError, match="must list a Transformer and a LogitScore"):
        read_reranker_folder(folder)
