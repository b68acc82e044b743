"""The kept fixtures are what the script makes today, so that neither can rot."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from tests.parity.texts import hash_texts, reference_texts

pytestmark = pytest.mark.torch

FIXTURES = Path(__file__).parent / "fixtures"
SMALL_MODEL_NAMES = sorted(path.stem for path in FIXTURES.glob("*.npz") if path.stem != "minilm")
VERSION_KEYS = {"__version__", "transformers_version"}
# Processors round differently in the last bits; on one machine the difference is zero.
TOLERANCE = 5e-6


@pytest.fixture(scope="module")
def generator():
    """The script, which only the environment with PyTorch can import."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    return importlib.import_module("tests.parity.make_fixtures")


def test_every_small_model_has_a_fixture_and_every_fixture_a_model(generator):
    assert sorted(generator.NAMES) == SMALL_MODEL_NAMES


@pytest.mark.parametrize("name", SMALL_MODEL_NAMES)
def test_a_small_model_made_again_equals_the_kept_one(generator, tmp_path, name):
    generator.make_small_model(name, tmp_path)

    kept_folder, made_folder = FIXTURES / name, tmp_path / name
    assert list_files(made_folder) == list_files(kept_folder)
    for file in list_files(kept_folder):
        assert read_content(made_folder / file) == read_content(kept_folder / file), file
    with np.load(FIXTURES / f"{name}.npz") as kept, np.load(tmp_path / f"{name}.npz") as made:
        assert set(made.files) == set(kept.files)
        for key in set(kept.files) - {"versions"}:
            if np.issubdtype(kept[key].dtype, np.floating):  # other processors round otherwise
                np.testing.assert_allclose(made[key], kept[key], rtol=0, atol=TOLERANCE, err_msg=key)
            else:
                np.testing.assert_array_equal(made[key], kept[key], err_msg=key)


def test_the_vectors_of_minilm_made_again_equal_the_kept_ones(generator, tmp_path, minilm_path, shared_data):
    generator.make_minilm(minilm_path, shared_data, tmp_path)

    with np.load(FIXTURES / "minilm.npz") as kept, np.load(tmp_path / "minilm.npz") as made:
        assert str(kept["texts_sha256"]) == hash_texts(reference_texts(shared_data))
        np.testing.assert_allclose(made["embeddings"], kept["embeddings"], rtol=0, atol=TOLERANCE)


def list_files(folder: Path) -> list[str]:
    """Paths inside the folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def read_content(path: Path) -> object:
    """JSON without the versions that wrote it; the bytes of any other file."""
    if path.suffix != ".json":
        return path.read_bytes()
    value = json.loads(path.read_text(encoding="utf-8"))
    return {key: item for key, item in value.items() if key not in VERSION_KEYS} if isinstance(value, dict) else value
