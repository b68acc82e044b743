"""Folders of cross-encoders: what each kind says, and what is said of those that are none."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.reranker_folder import read_reranker_folder, to_classifier_tensors
from tfchain.models.weights.stored_encoder import StoredEncoder

FIXTURES = Path(__file__).parents[2] / "parity" / "reranker_fixtures"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "bert", tmp_path / "bert"))


def change(path: Path, **values: object) -> None:
    found = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(found | values))


def test_old_and_new_settings_of_the_activation(folder: Path) -> None:
    assert read_reranker_folder(folder).activation == "identity"
    change(folder / "config.json", sbert_ce_default_activation_function=None)
    assert read_reranker_folder(folder).activation == "sigmoid"  # of one output
    change(folder / "config.json", sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity"})
    assert read_reranker_folder(folder).activation == "identity"
    change(folder / "config_sentence_transformers.json", activation_fn="torch.nn.modules.activation.Sigmoid")
    assert read_reranker_folder(folder).activation == "sigmoid"
    assert read_reranker_folder(FIXTURES / "bert_labels").activation == "identity"  # of several


def test_token_types_only_if_the_tokenizer_gives_them(folder: Path) -> None:
    assert read_reranker_folder(folder).model.encoder.transformer.pairs == "typed"
    change(folder / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    assert read_reranker_folder(folder).model.encoder.transformer.pairs == "plain"
    assert read_reranker_folder(FIXTURES / "roberta").model.encoder.transformer.pairs == "plain"


def test_a_maximum_in_the_settings_of_sentence_transformers(folder: Path) -> None:
    assert read_reranker_folder(folder).model.max_length is None
    change(folder / "sentence_bert_config.json", max_seq_length=12)
    assert read_reranker_folder(folder).model.max_length == 12


@pytest.mark.parametrize(
    ("architectures", "message"),
    [
        (["BertModel"], "must hold a model with a classifier"),
        (None, "no `architectures`"),
        (["Qwen3ForCausalLM"], "does not say by which tokens it scores a pair"),
    ],
)
def test_models_without_a_classifier(folder: Path, architectures: object, message: str) -> None:
    change(folder / "config.json", architectures=architectures)
    with pytest.raises(ModelFolderError, match=message):
        read_reranker_folder(folder)


def test_other_folders_that_are_refused(folder: Path) -> None:
    change(folder / "config.json", sbert_ce_default_activation_function="mine.Softplus")
    with pytest.raises(ModelFolderError, match=r"makes scores with mine\.Softplus; tfchain has sigmoid, identity"):
        read_reranker_folder(folder)
    (folder / "modules.json").write_text('[{"type": "sentence_transformers.models.Transformer", "path": ""}]')
    with pytest.raises(ModelFolderError, match="must hold a CrossEncoder"):
        read_reranker_folder(folder)
    (folder / "config_sentence_transformers.json").write_text('{"model_type": "CrossEncoder"}')
    (folder / "modules.json").write_text('[{"type": "a.Transformer", "path": ""}, {"type": "a.Dense", "path": "1"}]')
    with pytest.raises(ModelFolderError, match="must list one Transformer with a classifier"):
        read_reranker_folder(folder)


def test_a_classifier_without_weights_in_the_file(folder: Path) -> None:
    shutil.copy(FIXTURES / "roberta" / "model.safetensors", folder)
    with pytest.raises(ModelFolderError, match=r"lacks the tensor classifier\.weight"):
        read_reranker_folder(folder)


def test_the_epsilon_and_the_activation_of_a_normalised_head(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FIXTURES / "modernbert", tmp_path / "modernbert"))
    change(folder / "config.json", classifier_activation="swish")
    with pytest.raises(ModelFolderError, match=r"must have a classifier_activation of .* Received: .*'swish'"):
        read_reranker_folder(folder)
    change(folder / "config.json", classifier_activation="gelu", norm_eps=1e-3)
    with pytest.raises(ModelFolderError, match="must have norm_eps=1e-05, with which its head normalises"):
        read_reranker_folder(folder)


def test_the_shift_of_a_normalised_head_goes_into_the_bias_of_the_outputs() -> None:
    encoder = StoredEncoder(read_reranker_folder(FIXTURES / "modernbert").model)
    weights = dict(encoder)
    assert not weights["layer_norm_0/beta"].any()
    weights["layer_norm_0/beta"] = np.arange(24, dtype="float32")
    made = to_classifier_tensors(encoder.config, weights)
    assert sorted(made) == ["classifier.bias", "classifier.weight", "head.dense.weight", "head.norm.weight"]
    shift = made["classifier.weight"] @ np.arange(24)
    np.testing.assert_allclose(made["classifier.bias"], weights["head/bias"] + shift, rtol=1e-6)
    layer = dataclasses.replace(encoder.config.transformer.layer, norm_bias=True)
    transformer = dataclasses.replace(encoder.config.transformer, layer=layer)
    kept = to_classifier_tensors(dataclasses.replace(encoder.config, transformer=transformer), weights)
    np.testing.assert_array_equal(kept["head.norm.bias"], np.arange(24))
    np.testing.assert_array_equal(kept["classifier.bias"], weights["head/bias"])
