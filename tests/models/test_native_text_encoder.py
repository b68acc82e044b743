"""A text encoder in a folder of its own for the int8 kernels, beside the one it was saved from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from tests.models.engines.test_native_encoder import make_encoder
from tests.models.tokenizers.bpe_tokenizers import make_backend, wrap
from tests.tiny_model import save_tiny_model
from tfchain.core.errors import ModelFolderError
from tfchain.models import native_library
from tfchain.models.encoders.anatomy import list_dense
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.engines.kernel_folder import DENSE_WEIGHTS, StoredKernels, save_kernels
from tfchain.models.native_text_encoder import NativeTextEncoder, find_native_obstacle, save_native_text_encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.stored import StoredTokenizer
from tfchain.models.weights.tensor_files import write_tensors

needs_kernels = pytest.mark.skipif(
    native_library.find_obstacle() is not None, reason=str(native_library.find_obstacle())
)

TEXTS = ["the cat sleeps", "你好，我是", "", "stocks fell on monday, stocks fell on monday, stocks fell on monday", "a"]


@pytest.fixture(scope="module")
def saved(wide_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TextEncoder, Path]:
    text_encoder = TextEncoder.from_pretrained(wide_model_path, precision="int8", engine="native")
    folder = tmp_path_factory.mktemp("native")
    assert find_native_obstacle(text_encoder) is None
    save_native_text_encoder(text_encoder, folder)
    return text_encoder, folder


@needs_kernels
def test_the_vectors_are_those_of_the_text_encoder(saved: tuple[TextEncoder, Path]) -> None:
    text_encoder, folder = saved
    native = NativeTextEncoder(folder)
    assert np.array_equal(native.encode(TEXTS), text_encoder.encode(TEXTS))
    assert np.array_equal(native.encode(["dog"], prompt="a "), text_encoder.encode(["a dog"]))


@needs_kernels
def test_the_threads_of_a_call_are_those_asked_for(saved: tuple[TextEncoder, Path]) -> None:
    native = NativeTextEncoder(saved[1], num_threads=3)
    assert native.num_threads == 3
    assert np.array_equal(native.encode(TEXTS), saved[0].encode(TEXTS))


@needs_kernels
def test_progress_is_told_and_may_end_the_call(saved: tuple[TextEncoder, Path]) -> None:
    native, counts = NativeTextEncoder(saved[1]), []
    native.encode(["a"] * 40, progress=counts.append)
    assert sum(counts) == 40
    assert len(counts) > 1

    def stop(_: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        native.encode(["a"] * 40, progress=stop)


@needs_kernels
def test_a_text_with_a_padding_token_inside_is_left_to_tensorflow(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model", seed=4, num_layers=1)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    shape = {"vocabulary_size": len(tokenizer), "position_offset": 2, "num_token_types": 0, "pad_token_id": 1}
    encoder = make_encoder(transformer=shape)
    text_encoder = TextEncoder(tokenizer, encoder, precision="int8", engine="native", max_length=24)
    (tmp_path / "native").mkdir()
    save_native_text_encoder(text_encoder, tmp_path / "native")
    native = NativeTextEncoder(tmp_path / "native")
    assert native.encode(["a", "[UNK]"]) is None  # the id 1
    assert np.array_equal(native.encode(["a"]), text_encoder.encode(["a"]))


@needs_kernels
@pytest.mark.parametrize("kind", ["roberta", "gemma"])
def test_bpe_tokenizers_need_no_tensorflow_either(kind: str, tmp_path: Path) -> None:
    tokenizer = wrap(make_backend(kind))
    encoder = make_encoder(transformer={"vocabulary_size": len(tokenizer), "pad_token_id": 1})
    text_encoder = TextEncoder(tokenizer, encoder, precision="int8", engine="native", max_length=24)
    save_native_text_encoder(text_encoder, tmp_path)
    native = NativeTextEncoder(tmp_path)
    assert isinstance(native.tokenizer.source, StoredTokenizer)  # by the package `tokenizers`
    assert native.tokenizer(TEXTS) == [tokenizer(text, truncation=True, max_length=24)["input_ids"] for text in TEXTS]
    assert np.array_equal(native.encode(TEXTS), text_encoder.encode(TEXTS))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"precision": "float32"}, "in float32, not in int8"), ({"precision": "float16"}, "in float16, not in int8")],
)
def test_a_model_of_another_precision_is_not_for_the_kernels(
    wide_model_path: Path, changes: dict[str, Any], reason: str
) -> None:
    text_encoder = TextEncoder.from_pretrained(wide_model_path, **changes)
    assert reason in str(find_native_obstacle(text_encoder))


@needs_kernels
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_settings.json"])
def test_a_damaged_tokenizer_is_named(saved: tuple[TextEncoder, Path], tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelFolderError, match="The tokenizer in .* cannot be read"):
        NativeTextEncoder(copy_with(saved[1], tmp_path, name, b"{}"))


def save(encoder: Encoder, path: Path) -> StoredKernels:
    save_kernels(path, encoder.config, KerasWeights(encoder))
    return StoredKernels(path)


@pytest.mark.parametrize("name", ["plain", "heads", "task's head behind heads", "relative"])
def test_shape_and_dense_heads_come_back(name: str, tmp_path: Path) -> None:
    encoder = make_encoder(name)
    stored, weights = save(encoder, tmp_path), KerasWeights(encoder)
    assert stored.config == encoder.config
    dense = {path for path in weights if path.split("/")[0] in dict(list_dense(encoder.config))}
    assert set(stored) == dense
    assert len(stored) == len(dense)
    assert all(np.array_equal(stored[path], weights[path]) for path in dense)
    assert (tmp_path / DENSE_WEIGHTS).exists() == bool(dense)


@pytest.fixture(scope="module")
def heads_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    save(make_encoder("heads"), folder)
    return folder


def copy_with(source: Path, target: Path, name: str, content: bytes) -> Path:
    """Copies a folder with another content of one file."""
    for file in source.iterdir():
        (target / file.name).write_bytes(content if file.name == name else file.read_bytes())
    return target


def test_a_head_of_another_shape_is_refused(heads_path: Path, tmp_path: Path) -> None:
    write_tensors(tmp_path / "other", {"dense_0/kernel": np.zeros((64, 31), "float32")})
    folder = copy_with(heads_path, tmp_path, DENSE_WEIGHTS, (tmp_path / "other").read_bytes())
    with pytest.raises(ModelFolderError, match=r"must hold dense_0/kernel in float32 of the shape \(64, 30\)"):
        StoredKernels(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"transformer": {}}', b"\xff"])
def test_a_damaged_configuration_is_named(heads_path: Path, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ModelFolderError, match="encoder.json cannot be read"):
        StoredKernels(copy_with(heads_path, tmp_path, "encoder.json", content))
