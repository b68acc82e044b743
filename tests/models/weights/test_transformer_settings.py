"""The settings of a Transformer module: which are read, which change nothing, and which are refused."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.models.weights.test_folder import BERT, write
from tfchain.core.errors import ModelFolderError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.folder import read_folder

ST = "sentence_transformers."
MODULES = [ST + "base.modules.transformer.Transformer", ST + "sentence_transformer.modules.pooling.Pooling"]


@pytest.mark.parametrize(
    ("settings", "lengths"),
    [
        ({"query_length": 8, "document_length": 14}, (12, 8, 14)),
        ({"query_length": 12, "document_length": None}, (12, None, None)),  # as all texts
        ({"processing_kwargs": {"text": {"max_length": 6}}, "query_length": 8}, (6, None, None)),
        ({"processing_kwargs": {"common": {"max_length": 5}, "text": {"max_length": 6}}}, (5, None, None)),
        ({"processing_kwargs": {"text": {"truncation": False}}}, (16, None, None)),
        ({"processing_kwargs": {"text": {"padding": "max_length", "truncation": True}, "image": {"a": 1}}},
         (12, None, None)),
        ({"processor_kwargs": {"model_max_length": 9}}, (9, None, None)),
        ({"tokenizer_args": {"model_max_length": 9}, "query_length": 4}, (9, 4, None)),
    ],
)  # fmt: skip
def test_lengths_are_those_of_sentence_transformers(
    tmp_path: Path, settings: dict[str, Any], lengths: tuple[int | None, ...]
) -> None:
    folder = read_folder(write(tmp_path, MODULES, sentence_bert_config={"max_seq_length": 12, **settings}))
    assert (folder.max_length, folder.query_length, folder.document_length) == lengths


def test_a_length_above_the_positions_is_cut_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        folder = read_folder(write(tmp_path, MODULES, sentence_bert_config={"max_seq_length": 8, "query_length": 17}))
    assert (folder.max_length, folder.query_length) == (8, 16)
    assert "sets a maximum of 17 tokens (query_length); the model has positions for 16" in caplog.text


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"query_length": "8"}, "query_length='8'.* a whole number of tokens"),
        ({"document_length": 0}, "document_length=0"),
        ({"query_expansion": {"strategy": "fixed", "length": 8}}, "query_expansion="),
        ({"processing_kwargs": {"text": {"add_special_tokens": False}}}, "processing_kwargs of texts with add_special"),
        ({"processing_kwargs": {"text": {"truncation": "only_second"}}}, "truncation='only_second'"),
        ({"processing_kwargs": {"common": {"return_attention_mask": False}}}, "return_attention_mask=False"),
        ({"transformer_task": "fill-mask"}, "transformer_task='fill-mask'.* 'feature-extraction'"),
        ({"module_output_name": "sentence_embedding"}, "module_output_name='sentence_embedding'"),
        ({"modality_config": {"text": {"method": "get_text_features"}}}, "modality_config of text="),
        ({"tokenizer_args": {"tokenizer_file": "/etc/passwd"}}, "tokenizer_file='/etc/passwd' for the tokenizer"),
        ({"model_args": {"default_task": "retrieval.query"}}, "default_task='retrieval.query' for the model"),
    ],
)
def test_settings_that_change_vectors_are_not_passed_over(
    tmp_path: Path, setting: dict[str, Any], message: str
) -> None:
    folder = write(tmp_path, MODULES, sentence_bert_config={"max_seq_length": 12, **setting})
    with pytest.raises(ModelFolderError, match=f"{message}.*its vectors would differ|{message}"):
        read_folder(folder)


def test_settings_that_change_nothing_are_read(tmp_path: Path) -> None:
    settings = {
        "max_seq_length": 12, "query_length": 12, "document_length": None, "query_expansion": None,
        "transformer_task": "feature-extraction", "module_output_name": "token_embeddings", "processing_kwargs": {},
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        "tokenizer_args": {"trust_remote_code": False, "padding_side": "left"}, "unpad_inputs": None,
        "model_args": {"torch_dtype": "bfloat16", "add_pooling_layer": False}, "config_args": {},
    }  # fmt: skip
    folder = read_folder(write(tmp_path, MODULES, sentence_bert_config=settings))
    assert (folder.max_length, folder.tokenizer_options) == (12, {})


def test_arguments_of_the_configuration_change_it(tmp_path: Path) -> None:
    settings = {"config_kwargs": {"layer_norm_eps": 1e-3, "trust_remote_code": True}}
    folder = read_folder(write(tmp_path, MODULES, config=BERT, sentence_bert_config=settings))
    assert folder.encoder.transformer.norm_epsilon == 1e-3


def test_arguments_of_the_tokenizer_reach_it_and_a_saved_folder(tiny_model_path: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model_path, tmp_path / "model")
    path = tmp_path / "model" / "sentence_bert_config.json"
    values = {**json.loads(path.read_text(encoding="utf-8")), "tokenizer_args": {"truncation_side": "left"}}
    path.write_text(json.dumps(values))
    encoder = TextEncoder.from_pretrained(tmp_path / "model", engine="tensorflow", max_length=4)
    plain = TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")
    text = "the cat sleeps on monday"
    whole = plain.tokenizer([text])[0]
    assert encoder.tokenizer([text])[0] == [whole[0], *whole[-3:]]
    (tmp_path / "saved").mkdir()
    encoder.save(tmp_path / "saved", portable=True)
    assert TextEncoder.from_pretrained(tmp_path / "saved", engine="tensorflow").fingerprint == encoder.fingerprint
