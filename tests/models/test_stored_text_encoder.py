"""A text encoder that lies in a folder: what is trusted of it, and that its Keras model is the same one."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tfchain.chains.search import NeuralSearchChain
from tfchain.core.errors import FingerprintError, ModelFolderError
from tfchain.models.encoders.encoder import fingerprint_model
from tfchain.models.native_library import find_obstacle
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.folder import read_folder
from tfchain.models.weights.folder_contents import WEIGHTS
from tfchain.models.weights.record import RECORD
from tfchain.models.weights.stored_encoder import StoredEncoder
from tfchain.models.weights.tensor_files import KERNEL_WEIGHTS

needs_kernels = pytest.mark.skipif(find_obstacle() is not None, reason=str(find_obstacle()))
PARITY = Path(__file__).resolve().parents[1] / "parity" / "fixtures"
TEXTS = ["the cat sleeps", "who? a dog", "你好 monday", "stock fell on monday " * 9]


@pytest.fixture(scope="module")
def int8_path(wide_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a text encoder in int8, half a second old."""
    path = tmp_path_factory.mktemp("int8") / "model"
    path.mkdir()
    TextEncoder.from_pretrained(wide_model_path, precision="int8").save(path)
    for file in path.rglob("*"):
        os.utime(file, ns=(10**18, 10**18))
    text = json.loads((path / RECORD).read_text())
    text["files"] = {name: [size, 10**18, digest] for name, (size, _, digest) in text["files"].items()}
    (path / RECORD).write_text(json.dumps(text))
    return path


@pytest.fixture
def copy(int8_path: Path, tmp_path: Path) -> Path:
    shutil.copytree(int8_path, tmp_path / "copy")
    return tmp_path / "copy"


def test_the_keras_model_is_the_one_that_was_saved(int8_path: Path, wide_model_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(int8_path)
    assert not encoder._shared.is_made
    assert encoder.encoder_fingerprint == TextEncoder.from_pretrained(wide_model_path).encoder_fingerprint
    assert encoder.fingerprint == TextEncoder.from_pretrained(wide_model_path, precision="int8").fingerprint
    assert not encoder._shared.is_made
    assert fingerprint_model(encoder.own_encoder) == encoder.encoder_fingerprint
    assert encoder.encoder is encoder.own_encoder
    assert encoder.tokenizer.tokenizer.get_vocab() == encoder.tokenizer.source.get_vocab()


@pytest.mark.parametrize("name", ["bert", "jina_v3_adapters", "xlm_roberta", "static_model2vec"])
def test_weights_in_blocks_of_rows_are_those_of_the_whole(name: str) -> None:
    options = {"adapter": "retrieval.query"} if name == "jina_v3_adapters" else {}
    encoder = StoredEncoder(read_folder(PARITY / name, **options))
    for path, weight in encoder.items():
        blocks = list(encoder.read_blocks(path, 7))
        assert all(1 <= len(block) <= 7 for block in blocks)
        expected = weight.T if path.endswith("kernel") else weight
        np.testing.assert_array_equal(np.concatenate(blocks), expected, strict=True)


def test_other_settings_than_those_saved_have_a_fingerprint_of_their_own(int8_path: Path) -> None:
    saved = TextEncoder.from_pretrained(int8_path)
    other = TextEncoder.from_pretrained(int8_path, max_length=9)
    assert saved.fingerprint != other.fingerprint
    assert saved.fingerprint == TextEncoder.from_pretrained(int8_path, similarity="dot").fingerprint
    assert (
        saved.fingerprint == TextEncoder.from_pretrained(int8_path, max_length=saved.tokenizer.max_length).fingerprint
    )


@needs_kernels
def test_the_kernels_file_gives_the_vectors_that_the_weights_give(int8_path: Path, copy: Path) -> None:
    expected = TextEncoder.from_pretrained(int8_path).encode(TEXTS)
    (copy / KERNEL_WEIGHTS).unlink()
    made = TextEncoder.from_pretrained(copy)
    assert made._shared.weights.kernel_file is None
    np.testing.assert_array_equal(made.encode(TEXTS), expected)
    keras_model = TextEncoder.from_pretrained(copy)
    keras_model.encoder  # noqa: B018 - handed out
    np.testing.assert_array_equal(keras_model.encode(TEXTS), expected)


@needs_kernels
def test_it_encodes_and_trains_when_its_folder_is_gone(copy: Path, int8_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(copy)
    shutil.rmtree(copy)
    np.testing.assert_array_equal(encoder.encode(TEXTS), TextEncoder.from_pretrained(int8_path).encode(TEXTS))
    assert fingerprint_model(encoder.encoder) == encoder.encoder_fingerprint
    assert encoder.tokenizer.tokenizer("the cat")["input_ids"] == encoder.tokenizer(["the cat"])[0]


@needs_kernels
def test_weights_that_were_put_into_the_folder_count_and_not_the_file_for_the_kernels(copy: Path) -> None:
    before = TextEncoder.from_pretrained(copy)
    tensors = load_file(copy / WEIGHTS)
    save_file({name: array * np.float32(1.5) for name, array in tensors.items()}, copy / WEIGHTS)
    after = TextEncoder.from_pretrained(copy)
    assert after._shared.weights.kernel_file is None
    assert after.fingerprint != before.fingerprint
    assert np.abs(after.encode(TEXTS) - before.encode(TEXTS)).max() > 1e-3


@needs_kernels
def test_changed_weights_of_the_keras_model_count_and_not_those_in_the_folder(int8_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(int8_path)
    before, fingerprint = encoder.encode(TEXTS), encoder.fingerprint
    encoder.own_encoder.set_weights([weight * 1.5 for weight in encoder.own_encoder.get_weights()])
    np.testing.assert_array_equal(encoder.encode(TEXTS), before)  # nothing was told
    encoder.refresh()
    assert np.abs(encoder.encode(TEXTS) - before).max() > 1e-3
    assert encoder.fingerprint != fingerprint


@needs_kernels
def test_a_chain_whose_model_files_are_another_models_is_refused(copy: Path, tmp_path: Path) -> None:
    chain = NeuralSearchChain.from_pretrained(copy)
    chain.add(["the cat sleeps"])
    path = chain.save(tmp_path / "chain")
    (model,) = path.glob("model-*")
    assert (model / KERNEL_WEIGHTS).is_file()
    assert not NeuralSearchChain.load(path).is_stale
    other = tmp_path / "other"
    other.mkdir()
    changed = TextEncoder.from_pretrained(copy)
    changed.encoder.set_weights([weight * 1.5 for weight in changed.encoder.get_weights()])
    changed.refresh()
    changed.save(other)
    for name in (KERNEL_WEIGHTS, WEIGHTS):
        shutil.copy2(other / name, model / name)
        if name == KERNEL_WEIGHTS:  # it is not used, as the folder is not the one noted; the float weights are
            assert not NeuralSearchChain.load(path).is_stale
    with pytest.raises(FingerprintError, match="made by model"):
        NeuralSearchChain.load(path)
    shutil.rmtree(model)
    shutil.copytree(other, model)
    with pytest.raises(FingerprintError, match="made by model"):
        NeuralSearchChain.load(path)


def test_a_weight_of_another_shape_is_named_before_anything_is_computed(copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    name = "encoder.layer.1.output.dense.weight"
    save_file({**tensors, name: tensors[name][:, :-1].copy()}, copy / WEIGHTS)
    with pytest.raises(
        ModelFolderError, match=r"layer_1/output/kernel must have the shape \(128, 64\). Received: \(127, 64\)"
    ):
        TextEncoder.from_pretrained(copy)


def test_a_damaged_file_for_the_kernels_is_one_clear_error(copy: Path) -> None:
    if find_obstacle() is not None:
        pytest.skip(str(find_obstacle()))
    tensors = load_file(copy / KERNEL_WEIGHTS)
    tensors["norm"] = tensors["norm"][:1].copy()
    encoder = TextEncoder.from_pretrained(copy)
    save_file(tensors, copy / KERNEL_WEIGHTS)
    encoder._shared.weights.kernel_file = type(encoder._shared.weights.kernel_file)(copy / KERNEL_WEIGHTS)
    with pytest.raises(ModelFolderError, match=r"must hold norm in float32 of the shape \(2, 64\)"):
        encoder.encode("the cat")
