"""Small models of images and texts beside transformers: token ids, pixels, vectors, and how alike they are."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfchain.data.pictures.pixels import read_pixels
from tfchain.models.engines.padding import pad
from tfchain.models.images.image_text_model import ImageTextModel
from tfchain.models.images.picture_graph import make_inputs
from tfchain.models.images.preprocessing import stack_inputs
from tfchain.models.tokenizers.graph_tokenizer import make_graph_tokenizer

FIXTURES = Path(__file__).parent / "image_fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.npz"))
Kept = tuple[ImageTextModel, dict[str, np.ndarray]]


@pytest.fixture(scope="module", params=NAMES)
def kept(request: pytest.FixtureRequest) -> Kept:
    with np.load(FIXTURES / f"{request.param}.npz") as arrays:
        loaded = dict(arrays)
    return ImageTextModel.from_pretrained(FIXTURES / request.param), loaded


def to_length_one(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_token_ids_are_transformers_on_the_host_and_in_a_graph(kept: Kept) -> None:
    model, expected = kept
    texts = expected["texts"].tolist()
    token_ids, _ = model.to_token_ids(texts)
    np.testing.assert_array_equal(token_ids, expected["token_ids"])
    graph = make_graph_tokenizer(model.tokenizer.tokenizer, pad_id=model.tokenizer.pad_token_id)
    in_graph, mask = graph(tf.constant(texts), model.config.text.max_length)
    on_host, host_mask = pad(model.tokenizer(texts), model.tokenizer.pad_token_id)
    np.testing.assert_array_equal(in_graph, on_host)
    np.testing.assert_array_equal(mask, host_mask)


def test_pixels_are_those_of_transformers_processors_on_the_host_and_in_a_graph(kept: Kept) -> None:
    model, expected = kept
    files = [FIXTURES / "pictures" / name for name in expected["files"].tolist()]
    host = stack_inputs([read_pixels(file) for file in files], model.pictures)
    np.testing.assert_allclose(host, expected["pixels"], atol=1e-6, rtol=0)
    in_graph = make_inputs(tf.constant([file.read_bytes() for file in files]), model.pictures)
    np.testing.assert_allclose(in_graph, host, atol=1e-6, rtol=0)  # no pixel differs by a step of 8 bits


def test_vectors_are_those_of_transformers(kept: Kept) -> None:
    model, expected = kept
    texts = model.encode_texts(expected["texts"].tolist())
    np.testing.assert_allclose(texts, to_length_one(expected["text_vectors"]), atol=2e-6, rtol=0)
    images = model.encode_pixels(expected["pixels"])
    np.testing.assert_allclose(images, to_length_one(expected["image_vectors"]), atol=2e-6, rtol=0)
    logits = images @ texts.T * model.logit_scale + model.logit_bias
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-5, rtol=0)


def test_a_saved_folder_gives_the_same_vectors(kept: Kept, tmp_path: Path) -> None:
    model, expected = kept
    model.save(tmp_path)
    again = ImageTextModel.from_pretrained(tmp_path)
    assert (again.config, again.pictures, again.fingerprint) == (model.config, model.pictures, model.fingerprint)
    np.testing.assert_allclose(
        again.encode_pixels(expected["pixels"]), to_length_one(expected["image_vectors"]), atol=2e-6, rtol=0
    )


@pytest.mark.torch
def test_transformers_reads_saved_folders(kept: Kept, tmp_path: Path) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model, expected = kept
    model.save(tmp_path)
    network = transformers.AutoModel.from_pretrained(tmp_path).eval()
    ids = {"input_ids": torch.from_numpy(expected["token_ids"]).long()}
    if model.config.family != "siglip":
        ids["attention_mask"] = torch.from_numpy(model.to_token_ids(expected["texts"].tolist())[1]).long()
    with torch.no_grad():
        found = network(**ids, pixel_values=torch.from_numpy(expected["pixels"].transpose(0, 3, 1, 2).copy()))
    np.testing.assert_allclose(found.logits_per_image.numpy(), expected["logits"], atol=1e-5, rtol=0)


def test_kinds_of_folder_that_are_kept() -> None:
    assert NAMES == ["chinese_clip", "clip", "clip_first", "siglip", "siglip2"]
