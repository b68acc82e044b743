import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.config import EncoderConfig, PoolingConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.weights.folder import read_folder

BERT = {
    "model_type": "bert", "vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 12, "max_position_embeddings": 16,
}  # fmt: skip
MODULE = "sentence_transformers.models."


def write(folder: Path, kinds: list[str] | None = None, **files: object) -> Path:
    """A folder with config.json, modules.json and others; `a__b` is the file b.json in the folder a."""
    if kinds is not None:
        listed = [{"idx": n, "path": "" if n == 0 else f"{n}", "type": name} for n, name in enumerate(kinds)]
        files = {"modules": listed, **files}
        for number in range(1, len(kinds)):
            (folder / str(number)).mkdir()
            (folder / str(number) / "config.json").write_text(
                json.dumps({"in_features": 8, "out_features": 4, "activation_function": "torch.nn.Tanh"})
            )
    for name, values in {"config": BERT, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("names", [["Transformer", "Dense", "Pooling"], ["Pooling"], ["Transformer"] * 2])
def test_modules_out_of_order_are_refused_rather_than_put_in_another(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ModelFolderError, match=f"Received: {', '.join(names)}"):
        read_folder(write(tmp_path, [MODULE + name for name in names]))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["Normalize", "Dense", "Dense"], ("normalize", "dense", "dense")),
        (["Normalize", "Dense", "Normalize"], ("normalize", "dense", "normalize")),
        (["Dense", "Normalize", "Dropout", "Normalize", "Dense", "Normalize"],
         ("dense", "normalize", "dense", "normalize")),
        (["Dense", "Normalize"], ()),
    ],
)  # fmt: skip
def test_modules_after_the_pooling_keep_their_order(tmp_path: Path, names: list[str], order: tuple[str, ...]) -> None:
    config = read_folder(write(tmp_path, [MODULE + name for name in ("Transformer", "Pooling", *names)])).encoder
    assert (config.order, config.head) == (order, None)
    assert config.module_order == (order or ("dense", "normalize"))
    assert EncoderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert ("order" in config.to_dict()) == bool(order)


def test_a_normalisation_before_the_pooling_does_nothing(tmp_path: Path) -> None:
    names = ["Transformer", "Normalize", "Pooling", "Dense"]
    config = read_folder(write(tmp_path, [MODULE + name for name in names])).encoder
    assert (config.normalize, config.module_order) == (False, ("dense",))


@pytest.mark.parametrize(
    ("kinds", "settings"), [(["Dense", "Normalize", "Dense"], {}), (["Dense", "Dense"], {"head": True})]
)
def test_a_dense_module_behind_the_vectors_is_a_head(
    tmp_path: Path, kinds: list[str], settings: dict[str, object]
) -> None:
    listed = [MODULE + name for name in ["Transformer", "Pooling", *kinds]]
    narrow = {"in_features": 4, "out_features": 3, "activation_function": "torch.nn.modules.linear.Identity"}
    folder = write(tmp_path, listed, config_sentence_transformers=settings)
    (folder / str(len(listed) - 1) / "config.json").write_text(json.dumps(narrow))

    config = read_folder(folder).encoder

    assert [dense.out_dim for dense in config.dense] == [4]
    assert config.head == DenseConfig(in_dim=4, out_dim=3, activation="linear")
    assert config.normalize is ("Normalize" in kinds)
    assert (config.vector_dim, config.embedding_dim) == (4, 3)


@pytest.mark.parametrize("name", ["custom_st.Transformer", "sentence_transformers.models.LSTM"])
def test_a_module_that_tfchain_has_not_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelFolderError, match=f"lists a module '{name}'"):
        read_folder(write(tmp_path, [name]))


def test_modules_of_sentence_transformers_6_and_of_2_are_read(tmp_path: Path) -> None:
    names = ["base.modules.transformer.Transformer", "sentence_transformer.modules.pooling.Pooling"]
    folder = read_folder(write(tmp_path, [f"sentence_transformers.{name}" for name in names]))
    assert folder.encoder.pooling.modes == ("mean",)


def test_settings_that_are_left_out_are_those_of_sentence_transformers(tmp_path: Path) -> None:
    folder = write(tmp_path, [MODULE + name for name in ("Transformer", "Pooling", "Dense")])
    read = read_folder(folder)
    assert read.encoder.pooling == PoolingConfig(modes=("mean",), include_prompt=True)
    assert read.encoder.dense == (DenseConfig(in_dim=8, out_dim=4, use_bias=True, activation="tanh"),)
    assert not read.encoder.normalize
    plain = (read.max_length, read.do_lower_case, read.prompts, read.default_prompt_name, read.similarity)
    assert plain == (None, False, {}, None, "cosine")
    (folder / "1" / "config.json").write_text(json.dumps({"include_prompt": False, "pooling_mode_cls_token": True}))
    assert read_folder(folder).encoder.pooling == PoolingConfig(modes=("cls",), include_prompt=False)


@pytest.mark.parametrize(
    "values", [{"use_residual": True}, {"module_input_name": "token_embeddings"}, {"module_output_name": "other"}]
)
def test_a_dense_module_that_does_something_else_is_refused(tmp_path: Path, values: dict) -> None:
    folder = write(tmp_path, [MODULE + name for name in ("Transformer", "Pooling", "Dense")])
    (folder / "2" / "config.json").write_text(json.dumps({"in_features": 8, "out_features": 4, **values}))
    with pytest.raises(ModelFolderError, match=f"Dense modules on sentence embeddings.*{next(iter(values))}"):
        read_folder(folder)


def test_older_names_of_the_settings_file_count_too(tmp_path: Path) -> None:
    folder = write(tmp_path, [MODULE + "Transformer"], sentence_roberta_config={"max_seq_length": 10})
    assert read_folder(folder).max_length == 10


def test_a_maximum_above_the_positions_is_cut_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write(tmp_path, [MODULE + "Transformer"], sentence_bert_config={"max_seq_length": 514})
    assert read_folder(folder).max_length == 16
    assert "sets a maximum of 514 tokens; the model has positions for 16" in caplog.text


@pytest.mark.parametrize(
    ("listed", "cut", "expected"),
    [([8, 2, 4], None, (2, 4)), (None, 6, (6,)), ([4], 6, (4, 6)), ([], 8, ()), (None, None, ())],
)
def test_declared_lengths_of_vectors_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, listed: Any, cut: int | None, expected: tuple[int, ...]
) -> None:
    files = {"config": {**BERT, "matryoshka_dimensions": listed}, "config_sentence_transformers": {"truncate_dim": cut}}
    assert read_folder(write(tmp_path, [f"{MODULE}Transformer"], **files)).matryoshka_dims == expected
    assert ("sets truncate_dim=6, to which sentence-transformers cuts its vectors of 8" in caplog.text) == (cut == 6)


@pytest.mark.parametrize("listed", [[0], ["8"], [True], 8.5, {"8": 1}], ids=repr)
def test_lengths_that_are_no_whole_numbers_are_named(tmp_path: Path, listed: Any) -> None:
    with pytest.raises(ModelFolderError, match="must declare the lengths of its vectors .* as whole numbers"):
        read_folder(write(tmp_path, config={**BERT, "matryoshka_dimensions": listed}))


def test_a_similarity_that_tfchain_has_not_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write(tmp_path, [MODULE + "Transformer"], config_sentence_transformers={"similarity_fn_name": "euclidean"})
    with caplog.at_level(logging.WARNING):
        assert read_folder(folder).similarity == "cosine"
    assert "sets the similarity euclidean" in caplog.text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config": []}, "cannot be read"),
        ({"config": {**BERT, "hidden_size": "8"}}, "cannot be read"),
        ({"config": {**BERT, "hidden_size": None}}, "cannot be read"),
        ({"config": {"model_type": "bert"}}, "lacks 'vocab_size'"),
        ({"config": {**BERT, "model_type": "xlnet"}}, "has the architecture 'xlnet'; tfchain reads bert, distilbert"),
        ({"config": {**BERT, "hidden_act": "mish"}}, "The activation must be one of gelu"),
        ({"config": {**BERT, "is_decoder": True}}, "has is_decoder=True"),
        ({"config": {**BERT, "tfchain": {"x": 1}}}, "cannot be read"),
        ({"modules": {}}, "Received: none"),
        ({"modules": [{"path": "../other", "type": f"{MODULE}Transformer"}]}, "must name folders in it"),
        ({"modules": [{"path": ""}]}, "cannot be read: KeyError: 'type'"),
    ],
)
def test_a_broken_configuration_is_one_clear_error(tmp_path: Path, files: dict, message: str) -> None:
    with pytest.raises(ModelFolderError, match=message):
        read_folder(write(tmp_path, **files))


def test_a_prompt_that_is_null_is_none(tmp_path: Path) -> None:
    settings = {"prompts": {"query": "ask ", "document": None}}
    folder = write(tmp_path, [MODULE + "Transformer"], config_sentence_transformers=settings)
    assert read_folder(folder).prompts == {"query": "ask ", "document": ""}
