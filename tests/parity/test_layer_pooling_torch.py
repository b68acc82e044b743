"""WeightedLayerPooling beside sentence-transformers' own, of post-norm and pre-norm transformers, both ways."""

import dataclasses
import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.parity.texts import SMALL_MODEL_TEXTS
from tfchain.models.encoders.walk import LAYER_MEAN
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.folder import read_folder
from tfchain.models.weights.pretrained import make_encoder
from tfchain.models.weights.stored_encoder import StoredEncoder

pytestmark = pytest.mark.torch

FIXTURES = Path(__file__).parent / "fixtures"
SMALL_TEXTS = list(SMALL_MODEL_TEXTS)
# All that transformers has code for.
ARCHITECTURES = (
    *("bert", "distilbert", "roberta", "xlm_roberta", "mpnet", "albert", "camembert", "electra", "ernie", "deberta_v2"),
    *("deberta_v3", "t5", "t5_gated", "xlm_roberta_xl", "modernbert", "qwen3", "nomic_bert", "gte", "gemma3_text"),
    *("qwen2", "mistral", "llama", "eurobert", "jina_v3"),
)


@pytest.mark.parametrize(
    ("name", "start", "safe"), [("bert", 0, True), ("bert", 1, False), ("modernbert", 1, True), ("qwen3", 0, True)]
)
def test_a_mean_over_layers_is_sentence_transformers(name: str, start: int, safe: bool, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer, WeightedLayerPooling

    options = {"model_kwargs": {"dtype": torch.float32}, "config_kwargs": {"output_hidden_states": True}}
    transformer = Transformer(str(FIXTURES / name), **options)
    count, dim = transformer.model.config.num_hidden_layers, transformer.get_embedding_dimension()
    weights = torch.nn.Parameter(torch.tensor([0.7, -0.2, 1.6, 0.4][: count + 1 - start]))
    mean = WeightedLayerPooling(dim, num_hidden_layers=count, layer_start=start, layer_weights=weights)
    model = SentenceTransformer(modules=[transformer, mean, Pooling(dim)], device="cpu")
    model.save_pretrained(str(tmp_path / "theirs"), create_model_card=False, safe_serialization=safe)
    assert (tmp_path / "theirs" / "1_WeightedLayerPooling" / "pytorch_model.bin").is_file() != safe

    expected = model.encode(SMALL_TEXTS, show_progress_bar=False)
    last = SentenceTransformer(modules=[transformer, Pooling(dim)], device="cpu").encode(
        SMALL_TEXTS, show_progress_bar=False
    )
    assert np.abs(expected - last).max() > 0.1
    made = TextEncoder.from_pretrained(tmp_path / "theirs", engine="tensorflow")
    np.testing.assert_allclose(made.encode(SMALL_TEXTS), expected, atol=1e-5, rtol=0)
    alone = np.stack([made.encode(text) for text in SMALL_TEXTS[:4]])
    np.testing.assert_allclose(alone, expected[:4], atol=1e-5, rtol=0)

    (tmp_path / "ours").mkdir()
    made.save(tmp_path / "ours", portable=True)
    again = SentenceTransformer(str(tmp_path / "ours"), device="cpu", local_files_only=True)
    np.testing.assert_allclose(again.encode(SMALL_TEXTS, show_progress_bar=False), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_output_that_is_averaged_is_transformers(name: str) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    import torch
    import transformers

    folder = read_folder(FIXTURES / name, kinds="any")
    plain = folder.encoder.transformer
    shape = dataclasses.replace(plain, layer_weights=(1.0,) * (plain.num_layers + 1))
    encoder = make_encoder(dataclasses.replace(folder.encoder, transformer=shape), StoredEncoder(folder))
    averaged = keras.Model(encoder.inputs, encoder.get_layer(LAYER_MEAN).input)
    kind = transformers.T5EncoderModel if name.startswith("t5") else transformers.AutoModel
    theirs = kind.from_pretrained(folder.transformer_path).float().eval()
    ids = np.random.default_rng(0).integers(5, shape.vocabulary_size, size=(2, 9)).astype("int32")
    mask = np.repeat([[9], [6]], 9, axis=1) > np.arange(9)
    with torch.no_grad():
        options = {"attention_mask": torch.tensor(mask).long(), "output_hidden_states": True}
        states = theirs(input_ids=torch.tensor(ids).long(), **options).hidden_states
    found = averaged({"token_ids": ids, "padding_mask": mask.astype("int32")})
    for ours, state in zip(found, states, strict=True):
        np.testing.assert_allclose(np.asarray(ours)[mask], state.numpy()[mask], atol=1e-5, rtol=0)
