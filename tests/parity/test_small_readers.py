"""Readers of every architecture against transformers' models for question answering."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tests.parity.test_fixtures_torch import list_files, read_content
from tfchain.models.engines.native_encoder import find_obstacle_of_shape
from tfchain.models.native_library import find_obstacle
from tfchain.models.span_encoder import is_reader, load_span_encoder, save_span_encoder
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import join_pair

FIXTURES = Path(__file__).parent / "reader_fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.npz"))


def take_logits(reader: TextEncoder, texts: list[str], counts: np.ndarray) -> np.ndarray:
    """Returns the logits of all tokens, one pair after the other, and checks that there are zeros behind them."""
    found = reader.encode(texts).reshape(len(texts), -1, 2)
    assert all((row[count:] == 0).all() for row, count in zip(found, counts, strict=True))
    return np.concatenate([row[:count] for row, count in zip(found, counts, strict=True)])


@pytest.fixture(scope="module", params=NAMES)
def kept(request: pytest.FixtureRequest) -> tuple[TextEncoder, list[str], np.lib.npyio.NpzFile]:
    arrays = np.load(FIXTURES / f"{request.param}.npz")
    texts = [join_pair(str(question), str(text)) for question, text in arrays["pairs"]]
    return load_span_encoder(FIXTURES / request.param, engine="tensorflow"), texts, arrays


def test_logits_are_those_of_transformers(kept) -> None:
    reader, texts, expected = kept
    assert is_reader(reader)
    found = take_logits(reader, texts, expected["counts"])
    np.testing.assert_allclose(found, expected["logits"], atol=1e-5, rtol=0)


@pytest.mark.skipif(find_obstacle() is not None, reason="needs the int8 kernels")
def test_logits_of_the_int8_kernels_are_near(kept) -> None:
    reader, texts, expected = kept
    if find_obstacle_of_shape(reader.config) is not None:
        pytest.skip("the kernels do not compute this architecture")
    found = take_logits(reader.with_precision("int8", engine="native"), texts, expected["counts"])
    assert np.corrcoef(found.ravel(), expected["logits"].ravel())[0, 1] > 0.999


def test_a_folder_written_for_transformers_gives_the_same_logits(kept, tmp_path: Path) -> None:
    reader, texts, expected = kept
    save_span_encoder(reader, tmp_path)
    again = take_logits(load_span_encoder(tmp_path, engine="tensorflow"), texts, expected["counts"])
    np.testing.assert_allclose(again, expected["logits"], atol=1e-5, rtol=0)


@pytest.mark.torch
@pytest.mark.parametrize("name", NAMES)
def test_transformers_reads_what_is_written(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    from tests.parity.small_readers import expected_arrays

    save_span_encoder(load_span_encoder(FIXTURES / name, engine="tensorflow"), tmp_path)
    made, expected = expected_arrays(tmp_path), np.load(FIXTURES / f"{name}.npz")
    np.testing.assert_allclose(made["logits"], expected["logits"], atol=1e-5, rtol=0)


@pytest.mark.torch
@pytest.mark.parametrize("name", NAMES)
def test_a_small_reader_made_again_equals_the_kept_one(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    from tests.parity.small_readers import SMALL_READERS, make_small_reader

    assert sorted(SMALL_READERS) == NAMES
    make_small_reader(name, tmp_path)
    assert list_files(tmp_path / name) == list_files(FIXTURES / name)
    for file in list_files(tmp_path / name):
        assert read_content(tmp_path / name / file) == read_content(FIXTURES / name / file), file
    with np.load(tmp_path / f"{name}.npz") as made, np.load(FIXTURES / f"{name}.npz") as expected:
        np.testing.assert_allclose(made["logits"], expected["logits"], rtol=0, atol=5e-6)
