"""The door to TensorFlow Model Optimization."""

import os
import subprocess
import sys

import pytest

from tfchain.core.errors import MissingPackageError
from tfchain.optimization.tfmot import load_tfmot


def test_it_brings_the_algorithms_and_leaves_the_environment_alone() -> None:
    code = (
        "import os; from tfchain.optimization.tfmot import load_tfmot; "
        "print(load_tfmot('sparsity.keras.pruning_impl').Pruning.__name__, 'TF_USE_LEGACY_KERAS' in os.environ); "
        "import keras, tensorflow as tf; print(tf.keras.Model is keras.Model)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Pruning", "False", "True"]


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    assert load_tfmot("quantization.keras.quant_ops").MovingAvgQuantize
    assert os.environ["TF_USE_LEGACY_KERAS"] == "0"


def test_a_missing_package_is_named_with_what_to_install() -> None:
    with pytest.raises(MissingPackageError, match="pip install tensorflow-model-optimization"):
        load_tfmot("no_such_module")
