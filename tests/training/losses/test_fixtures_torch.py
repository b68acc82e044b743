"""The kept fixture is what the script makes today, so that neither can rot."""

import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.torch

FIXTURE = Path(__file__).parent / "fixtures" / "losses.npz"
# Processors round differently in the last bits; on one machine the difference is zero.
TOLERANCE = 5e-6


def test_the_fixture_of_the_losses_made_again_equals_the_kept_one(tmp_path):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs PyTorch (`make test-torch`)")
    generator = importlib.import_module("tests.training.losses.make_fixtures")

    generator.make_fixture(tmp_path / "losses.npz")

    with np.load(FIXTURE) as kept, np.load(tmp_path / "losses.npz") as made:
        assert set(made.files) == set(kept.files)
        for key in set(kept.files) - {"versions"}:
            np.testing.assert_allclose(made[key], kept[key], rtol=TOLERANCE, atol=TOLERANCE, err_msg=key)
