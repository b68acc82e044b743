"""sentence-transformers' WeightedLayerPooling: what of it is read, what is refused, and what is written."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.models.weights.test_folder import BERT, MODULE, write
from tests.tiny_model import save_tiny_model
from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.pair_encoder import make_pair_encoder, save_pair_encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.folder import read_folder

LISTED = [MODULE + name for name in ("Transformer", "WeightedLayerPooling", "Pooling")]
CONFIG = BERT | {"num_hidden_layers": 3, "output_hidden_states": True}
TEXTS = ["the cat sleeps", "stocks fell on monday", "a"]


def write_mean(folder: Path, weights: list[float], start: Any = 1, **config: Any) -> Path:
    """A folder of three layers with the module after the transformer."""
    write(folder, LISTED, config=CONFIG | config)
    (folder / "1" / "config.json").write_text(json.dumps({"layer_start": start, "num_hidden_layers": 3}))
    save_file({"layer_weights": np.array(weights, dtype="float32")}, folder / "1" / "model.safetensors")
    return folder


def make_mean(folder: Path, weights: tuple[float, ...]) -> TextEncoder:
    """A tiny text encoder of two layers, which averages them."""
    save_tiny_model(folder, seed=2)
    plain = TextEncoder.from_pretrained(folder, engine="tensorflow")
    assert plain.config is not None
    shape = dataclasses.replace(plain.config.transformer, layer_weights=weights)
    encoder = Encoder(dataclasses.replace(plain.config, transformer=shape))
    encoder.set_weights(plain.own_encoder.get_weights())
    return TextEncoder(plain.tokenizer.source, encoder, engine="tensorflow")


def test_layers_before_the_first_have_no_weight(tmp_path: Path) -> None:
    config = read_folder(write_mean(tmp_path, [1.0, 0.5, 2.0])).encoder
    assert config.transformer.layer_weights == (0.0, 1.0, 0.5, 2.0)
    assert config.module_order == ()


def test_the_embeddings_may_be_averaged_too(tmp_path: Path) -> None:
    folder = write_mean(tmp_path, [1.0, 2.0, 3.0, 4.0], start=0)
    assert read_folder(folder).encoder.transformer.layer_weights == (1.0, 2.0, 3.0, 4.0)


def test_without_hidden_states_the_module_does_nothing(tmp_path: Path) -> None:
    folder = write_mean(tmp_path, [1.0], output_hidden_states=False)  # not even its weights are looked at
    assert read_folder(folder).encoder.transformer.layer_weights == ()


def test_after_the_pooling_the_module_does_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path, [LISTED[0], LISTED[2], LISTED[1]], config=CONFIG)
    assert read_folder(folder).encoder.transformer.layer_weights == ()


def test_the_setting_may_be_the_transformer_modules(tmp_path: Path) -> None:
    folder = write_mean(tmp_path, [1.0, 1.0, 1.0], output_hidden_states=False)
    (folder / "sentence_bert_config.json").write_text('{"config_args": {"output_hidden_states": true}}')
    assert read_folder(folder).encoder.transformer.layer_weights == (0.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": [1.0, 1.0]}, r"one tensor layer_weights of 3 numbers, .* 1 to 3. Received: .*of the shape \(2,\)"),
        ({"weights": [1.0, 1.0, 1.0], "start": 4}, r"`layer_start` from 0, .* 3 layers. Received: layer_start=4"),
        ({"weights": [1.0, 1.0, 1.0], "start": "a"}, "Received: layer_start='a'"),
        ({"weights": [1.0, -2.0, 1.0]}, "make no mean: .*must be finite, and not add up to 0"),
        (
            {"weights": [1.0, 1.0, 1.0], "output_hidden_states": [0, 2]},
            r"must have output_hidden_states=true .* Received: \[0, 2\]",
        ),
        (
            {"weights": [1.0, 1.0, 1.0], "auto_map": {"AutoModel": "modeling.Own"}},
            "averages layers .* that code of its own computes .*modeling.Own",
        ),
    ],
)
def test_a_mean_that_is_not_known_is_refused(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFolderError, match=message):
        read_folder(write_mean(tmp_path, **values))


def test_other_tensors_and_missing_weights_are_named(tmp_path: Path) -> None:
    folder = write_mean(tmp_path, [1.0, 1.0, 1.0])
    save_file({"weights": np.ones(3, dtype="float32")}, folder / "1" / "model.safetensors")
    with pytest.raises(ModelFolderError, match="one tensor layer_weights of 3 numbers.*Received: weights"):
        read_folder(folder)
    (folder / "1" / "model.safetensors").unlink()
    with pytest.raises(ModelFolderError, match="1 has no weights to read"):
        read_folder(folder)


@pytest.mark.parametrize("options", [{}, {"portable": True}, {"weight_type": "int8"}])
def test_a_saved_mean_gives_the_same_vectors(tmp_path: Path, options: dict[str, Any]) -> None:
    made = make_mean(tmp_path / "tiny", (0.0, 0.1, 0.7))
    (tmp_path / "saved").mkdir()
    made.save(tmp_path / "saved", **options)
    again = TextEncoder.from_pretrained(tmp_path / "saved", engine="tensorflow")

    assert again.config == made.config
    if "weight_type" not in options:
        np.testing.assert_array_equal(again.encode(TEXTS), made.encode(TEXTS))
        assert again.fingerprint == made.fingerprint
    assert made.fingerprint != TextEncoder.from_pretrained(tmp_path / "tiny", engine="tensorflow").fingerprint
    values = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert values["output_hidden_states"] is True
    assert "tfchain" not in values
    listed = json.loads((tmp_path / "saved" / "modules.json").read_text())
    assert [module["type"].rsplit(".", 1)[-1] for module in listed[:3]] == [
        "Transformer", "WeightedLayerPooling", "Pooling",
    ]  # fmt: skip
    place = tmp_path / "saved" / "1_WeightedLayerPooling"
    assert json.loads((place / "config.json").read_text()) == {
        "word_embedding_dimension": 16, "layer_start": 1, "num_hidden_layers": 2,
    }  # fmt: skip
    (file,) = place.glob("*.safetensors")
    np.testing.assert_array_equal(load_file(file)["layer_weights"], np.array([0.1, 0.7], dtype="float32"))


def test_what_has_no_such_module_is_not_saved_for_others(tmp_path: Path) -> None:
    reranker = make_pair_encoder(make_mean(tmp_path / "tiny", (1.0, 1.0, 1.0)))
    assert reranker.config is not None
    assert reranker.config.transformer.layer_weights == (1.0, 1.0, 1.0)
    (tmp_path / "theirs").mkdir()
    with pytest.raises(InputError, match="without a mean over layers, can be saved for sentence-transformers"):
        save_pair_encoder(reranker, tmp_path / "theirs", activation="sigmoid")
    (tmp_path / "own").mkdir()
    reranker.save(tmp_path / "own")
    again = TextEncoder.from_pretrained(tmp_path / "own", engine="tensorflow")
    assert again.config == reranker.config
    np.testing.assert_array_equal(again.encode(TEXTS), reranker.encode(TEXTS))


def test_a_mean_of_layers_that_other_code_computes_is_tfchains_alone(tmp_path: Path) -> None:
    """transformers has no jina_bert: it is saved for Jina's own code, of which tfchain reads no mean."""
    path = Path(__file__).parents[2] / "parity" / "fixtures" / "jina_bert"
    plain = TextEncoder.from_pretrained(path, engine="tensorflow")
    assert plain.config is not None
    shape = dataclasses.replace(plain.config.transformer, layer_weights=(1.0, 1.0, 1.0))
    encoder = Encoder(dataclasses.replace(plain.config, transformer=shape))
    made = TextEncoder(plain.tokenizer.source, encoder, engine="tensorflow")
    (tmp_path / "theirs").mkdir()
    with pytest.raises(InputError, match="a mean over layers only with transformers' own code"):
        made.save(tmp_path / "theirs", portable=True)
    (tmp_path / "own").mkdir()
    made.save(tmp_path / "own")
    assert TextEncoder.from_pretrained(tmp_path / "own", engine="tensorflow").fingerprint == made.fingerprint
