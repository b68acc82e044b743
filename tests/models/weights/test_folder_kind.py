"""Folders of models that are no encoders of texts, and what a folder may hold beside an encoder."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.models.weights.test_folder import BERT, write
from tfchain import AutoModel, NeuralSearchChain
from tfchain.core.errors import ModelFolderError
from tfchain.models.convert import to_encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.folder import read_folder
from tfchain.models.weights.pretrained import convert_torch, load_encoder

ST = "sentence_transformers."
TRANSFORMER = ST + "base.modules.transformer.Transformer"
POOLING = ST + "sentence_transformer.modules.pooling.Pooling"


def change_json(path: Path, **values: Any) -> None:
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**before, **values}), encoding="utf-8")


def add_tensors(folder: Path, **tensors: np.ndarray) -> None:
    path = folder / "model.safetensors"
    save_file({**load_file(path), **{name.replace("__", "."): value for name, value in tensors.items()}}, path)


@pytest.fixture
def plain(tiny_model_path: Path, tmp_path: Path) -> Path:
    """The tiny model as transformers alone would write it: nothing is said of pooling."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_path, folder)
    shutil.rmtree(folder / "1_Pooling")
    shutil.rmtree(folder / "2_Normalize")
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    return folder


def is_the_tiny_transformer(encoder: Any, tiny_model_path: Path) -> bool:
    own = load_encoder(read_folder(tiny_model_path)).backbone.get_weights()
    return all(np.array_equal(one, other) for one, other in zip(encoder.backbone.get_weights(), own, strict=True))


@pytest.mark.parametrize(
    ("architecture", "tensors", "kind", "advice"),
    [
        ("BertForSequenceClassification", {"classifier__weight": (1, 16), "classifier__bias": (1,)}, "a reranker",
         "tfchain.Reranker takes it if"),
        ("HF_ColBERT", {"linear__weight": (8, 16)}, r"a multi-vector encoder \(ColBERT\)",
         "tfchain.LateInteractionReranker takes it"),
        ("BertForTokenClassification", {"classifier__weight": (3, 16)}, "a classifier of tokens", "no class for it"),
        ("BertForQuestionAnswering", {"qa_outputs__weight": (2, 16)}, "a finder of answers", "Chain takes it"),
    ],
)  # fmt: skip
def test_a_model_for_another_task_is_not_read_as_an_encoder_with_mean_pooling(
    plain: Path,
    tiny_model_path: Path,
    caplog: pytest.LogCaptureFixture,
    architecture: str,
    tensors: Any,
    kind: str,
    advice: str,
) -> None:
    change_json(plain / "config.json", architectures=[architecture])
    add_tensors(plain, **{name: np.ones(shape, "float32") for name, shape in tensors.items()})
    for read in (TextEncoder.from_pretrained, to_encoder, NeuralSearchChain.from_pretrained):
        with pytest.raises(ModelFolderError, match=f"holds .*{kind}.* Expected: an encoder with one vector .*{advice}"):
            read(plain)
    assert is_the_tiny_transformer(AutoModel.from_pretrained(plain), tiny_model_path)
    assert "only its transformer is used, and mean pooling is assumed" in caplog.text


@pytest.mark.parametrize(
    ("settings", "kinds", "kind"),
    [
        ({"model_type": "CrossEncoder"}, [TRANSFORMER], r"a CrossEncoder, .* \(a reranker\)"),
        ({"model_type": "SparseEncoder"}, [TRANSFORMER], "a SparseEncoder"),
        ({}, [ST + "sparse_encoder.models.MLMTransformer", ST + "sparse_encoder.models.SpladePooling"], "SPLADE"),
        ({}, [TRANSFORMER, ST + "sparse_encoder.modules.splade_pooling.SpladePooling"], "SPLADE"),
        ({"model_type": "MultiVectorEncoder"}, [TRANSFORMER], "ColBERT"),
        ({}, [TRANSFORMER, ST + "multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask"], "ColBERT"),
        ({}, [TRANSFORMER, "pylate.models.Dense.Dense"], "ColBERT"),
        ({}, [TRANSFORMER, ST + "cross_encoder.modules.logit_score.LogitScore"], "a reranker"),
    ],
)
def test_a_sentence_transformers_folder_of_another_kind_says_what_it_is(
    tmp_path: Path, settings: dict[str, Any], kinds: list[str], kind: str
) -> None:
    folder = write(tmp_path, kinds, config_sentence_transformers=settings)
    with pytest.raises(ModelFolderError, match=kind):
        read_folder(folder)
    read = read_folder(folder, kinds="any")  # AutoModel's way
    assert (read.encoder.transformer.num_layers, read.heads) == (1, "any")
    assert read.encoder.pooling.modes == ("mean",)


def test_stanfords_colbert_is_known_by_its_own_file(tmp_path: Path) -> None:
    write(tmp_path, config={**BERT, "architectures": ["BertModel"]})
    (tmp_path / "artifact.metadata").write_text("{}")
    with pytest.raises(ModelFolderError, match="ColBERT"):
        read_folder(tmp_path)


def test_a_language_model_is_read_and_one_warning_says_that_mean_pooling_is_assumed(
    plain: Path, tiny_model_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change_json(plain / "config.json", architectures=["BertForMaskedLM"])
    add_tensors(plain, cls__predictions__bias=np.ones(3, "float32"), pooler__dense__bias=np.ones(3, "float32"))
    with caplog.at_level(logging.WARNING):
        chain = NeuralSearchChain.from_pretrained(plain, engine="tensorflow")
        chain.encode(["the cat"])
    assert is_the_tiny_transformer(chain.model, tiny_model_path)
    assert [record.message.count("mean pooling is assumed") for record in caplog.records] == [1]
    caplog.clear()
    TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")
    assert not caplog.records


def test_a_head_of_a_classifier_is_noticed_where_config_json_does_not_name_it(plain: Path) -> None:
    add_tensors(plain, classifier__weight=np.ones((1, 16), "float32"))
    with pytest.raises(ModelFolderError, match="Left over, not read: classifier.weight"):
        TextEncoder.from_pretrained(plain)


@pytest.mark.parametrize("name", ["linear.weight", "adapter.down.weight", "encoder.layer.7.output.dense.bias"])
def test_a_weight_that_nothing_reads_is_named_and_not_passed_over(
    tiny_model_path: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_path, folder)
    add_tensors(folder, **{name: np.ones((2, 16), "float32")})
    with pytest.raises(ModelFolderError, match=f"Missing tensors: none. Left over, not read: {name}"):
        load_encoder(read_folder(folder))


def test_heads_that_are_known_may_lie_beside_an_encoder_whose_pooling_is_named(
    tiny_model_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_path, folder)
    add_tensors(folder, classifier__weight=np.ones((1, 16), "float32"), pooler__dense__bias=np.ones(3, "float32"))
    assert is_the_tiny_transformer(load_encoder(read_folder(folder)), tiny_model_path)


def test_a_tensor_of_a_dense_module_that_nothing_reads_is_named(tiny_model_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_path, folder)
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))[:2]
    modules.append({"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "2_Dense").mkdir()
    change_json(folder / "2_Dense" / "config.json", in_features=16, out_features=4, bias=False)
    tensors = {"linear.weight": np.ones((4, 16), "float32"), "linear.bias": np.ones(4, "float32")}
    save_file(tensors, folder / "2_Dense" / "model.safetensors")
    with pytest.raises(ModelFolderError, match="2_Dense has tensors that nothing reads: linear.bias"):
        load_encoder(read_folder(folder))


def test_a_pytorch_reranker_is_refused_by_its_class() -> None:
    class BertForSequenceClassification:
        pass

    with pytest.raises(ModelFolderError, match=r"Received: BertForSequenceClassification, which is .* reranker"):
        convert_torch(BertForSequenceClassification())


def test_settings_of_a_newer_version_are_named(tmp_path: Path) -> None:
    message = "a newer version wrote them: 'telepathy'. Install that version"
    with pytest.raises(ModelFolderError, match=message):
        read_folder(write(tmp_path, config={**BERT, "tfchain": {"architecture": "bert", "telepathy": True}}))
    with pytest.raises(ModelFolderError, match="cannot be read: TypeError: settings must be a dict. Received: 'bert'"):
        read_folder(write(tmp_path, config={**BERT, "tfchain": "bert"}))
    folder = write(tmp_path, [TRANSFORMER, POOLING], config_sentence_transformers={"vector_storage": {"telepathy": 1}})
    with pytest.raises(ModelFolderError, match=message):
        read_folder(folder)
    (tmp_path / "encoder.keras").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras.saving.load_model", lambda *_, **__: None)
        change_json(tmp_path / "text_encoder.json", telepathy=1)
        with pytest.raises(ModelFolderError, match=message):
            TextEncoder.from_pretrained(tmp_path)


@pytest.mark.parametrize("kept", ["tokenizer.json", "vocab.txt"])
def test_a_tokenizer_of_one_file_alone_gives_the_same_vectors(tiny_model_path: Path, tmp_path: Path, kept: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_path, folder)
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)), encoding="utf-8")
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"):
        if name != kept:
            (folder / name).unlink(missing_ok=True)
    texts = ["The cat sleeps [SEP] on Monday", "你好"]
    whole = TextEncoder.from_pretrained(tiny_model_path, engine="tensorflow")
    made = TextEncoder.from_pretrained(folder, engine="tensorflow")
    assert made.tokenizer(texts) == whole.tokenizer(texts)
    assert made.fingerprint == whole.fingerprint
