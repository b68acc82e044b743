"""Cross-encoders of every architecture and kind of folder against sentence-transformers' CrossEncoder."""

import importlib.util
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tests.parity.test_fixtures_torch import list_files, read_content
from tfchain import Reranker
from tfchain.core.errors import InputError
from tfchain.models.encoders.config import Architecture
from tfchain.models.engines.native_encoder import find_obstacle_of_shape
from tfchain.models.native_library import find_obstacle
from tfchain.models.weights.classifier_heads import read_classifier_head
from tfchain.models.weights.folder import to_transformer_config

FIXTURES = Path(__file__).parent / "reranker_fixtures"
MADE = sorted(path.stem for path in FIXTURES.glob("*.npz"))


def read_architecture(name: str) -> str:
    """Returns the architecture of a fixture."""
    return str(json.loads((FIXTURES / name / "config.json").read_text())["model_type"])


READ_ONLY = "qwen3"  # a decoder's output embedding is not kept
NAMES = [name for name in MADE if read_architecture(name) in get_args(Architecture)]


@pytest.fixture(scope="module", params=NAMES)
def kept(request: pytest.FixtureRequest) -> tuple[Reranker, np.lib.npyio.NpzFile, list[tuple[str, str]]]:
    arrays = np.load(FIXTURES / f"{request.param}.npz")
    pairs = [(str(query), str(document)) for query, document in arrays["pairs"]]
    return Reranker.from_pretrained(FIXTURES / request.param, engine="tensorflow"), arrays, pairs


def test_scores_are_those_of_a_cross_encoder_together_and_alone(kept) -> None:
    reranker, expected, pairs = kept
    np.testing.assert_allclose(reranker.predict(pairs), expected["scores"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(reranker.predict(pairs, activation="identity"), expected["outputs"], atol=1e-5, rtol=0)
    alone = np.stack([reranker.predict([pair])[0] for pair in pairs])
    np.testing.assert_allclose(alone, expected["alone"], atol=1e-5, rtol=0)


@pytest.mark.skipif(find_obstacle() is not None, reason="needs the int8 kernels")
def test_outputs_of_the_int8_kernels_are_near(kept) -> None:
    reranker, expected, pairs = kept
    if find_obstacle_of_shape(reranker.text_encoder.config) is not None:
        pytest.skip("the kernels do not compute this architecture")
    quantized = reranker.text_encoder.with_precision("int8", engine="native")
    found = quantized.encode([f"{query}\x1f{document}" for query, document in pairs]).reshape(expected["outputs"].shape)
    assert np.corrcoef(found.ravel(), expected["outputs"].ravel())[0, 1] > 0.999


def test_a_folder_written_for_sentence_transformers_gives_the_same_scores(kept, tmp_path: Path) -> None:
    reranker, expected, pairs = kept
    if reranker.text_encoder.config.transformer.pairs == "prompted":
        with pytest.raises(InputError, match="has only two rows of its output embedding"):
            reranker.save_pretrained(tmp_path / "saved")
        again = Reranker.load(reranker.save(tmp_path / "own"), engine="tensorflow")
    else:
        again = Reranker.from_pretrained(reranker.save_pretrained(tmp_path / "saved"), engine="tensorflow")
    np.testing.assert_allclose(again.predict(pairs), expected["scores"], atol=1e-5, rtol=0)
    assert (again.activation, again.max_length) == (reranker.activation, reranker.max_length)


@pytest.mark.torch
@pytest.mark.parametrize("name", [name for name in NAMES if name != READ_ONLY])
def test_the_dropout_of_a_head_is_that_of_transformers(name: str) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.from_pretrained(FIXTURES / name)
    rates = {"hidden_dropout_prob": 0.05, "seq_classif_dropout": 0.25, "classifier_dropout_prob": 0.15}
    for key, rate in rates.items():
        if hasattr(config, key):
            setattr(config, key, rate)
    for key, rate in {"classifier_dropout": 0.3, "pooler_dropout": 0.35, "cls_dropout": 0.45}.items():
        setattr(config, key, rate)
    modules = dict(AutoModelForSequenceClassification.from_config(config).named_modules())
    last = next(modules[place].p for place in ("dropout", "drop", "classifier.dropout") if place in modules)
    used_twice = "classifier.dropout" in modules  # on the first token's vector, too
    pooled = last if used_twice else modules["pooler.dropout"].p if "pooler.dropout" in modules else 0.0

    values = config.to_dict()
    transformer = to_transformer_config(values, FIXTURES / name)
    first, second = read_classifier_head(transformer.architecture, values).list_dense(transformer, 1)

    assert (first.dropout, second.dropout) == (pooled, last)


@pytest.mark.torch
@pytest.mark.parametrize("name", [name for name in NAMES if name != READ_ONLY])
def test_a_cross_encoder_reads_what_save_pretrained_writes(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    from tests.parity.small_rerankers import expected_arrays

    folder = Reranker.from_pretrained(FIXTURES / name, engine="tensorflow").save_pretrained(tmp_path / "saved")
    made, expected = expected_arrays(folder), np.load(FIXTURES / f"{name}.npz")
    np.testing.assert_allclose(made["scores"], expected["scores"], atol=1e-5, rtol=0)


@pytest.mark.torch
@pytest.mark.parametrize("name", NAMES)
def test_a_small_reranker_made_again_equals_the_kept_one(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    from tests.parity.small_rerankers import SMALL_RERANKERS, make_small_reranker

    assert sorted(SMALL_RERANKERS) == MADE
    make_small_reranker(name, tmp_path)
    assert list_files(tmp_path / name) == list_files(FIXTURES / name)
    for file in set(list_files(tmp_path / name)) - {"config_sentence_transformers.json"}:
        assert read_content(tmp_path / name / file) == read_content(FIXTURES / name / file), file
    with np.load(tmp_path / f"{name}.npz") as made, np.load(FIXTURES / f"{name}.npz") as expected:
        np.testing.assert_allclose(made["scores"], expected["scores"], rtol=0, atol=5e-6)


def test_kinds_of_folder_that_are_kept() -> None:
    """Old and new format, one output and several, so that the tests above see each of them."""
    found = [json.loads((FIXTURES / name / "config.json").read_text()) for name in NAMES]
    assert {len(values.get("id2label", {"0": ""})) for values in found} >= {1, 3}
    assert any("sbert_ce_default_activation_function" in values for values in found)
    assert any((FIXTURES / name / "modules.json").is_file() for name in NAMES)
