"""A base path with versions that answer, made once."""

import shutil
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with the versions 1 and 2, which answer `2 x + 1`, and 3, which answers `3 x + 1`."""
    import tensorflow as tf

    from tfchain.core.proof import Proof
    from tfchain.deployment.export import export

    base_path = tmp_path_factory.mktemp("exported") / "lines"
    spec = [tf.TensorSpec([None], tf.float32, name="x")]
    for slope in (2.0, 3.0):
        module = tf.Module()
        module.weight = tf.Variable(slope)
        answer = tf.function(lambda x, module=module: {"y": module.weight * x + 1}, input_signature=spec)
        asked = np.arange(3, dtype="float32")
        proof = Proof("serving_default", {"x": asked}, {"y": slope * asked + 1})
        export(base_path, module, {"serving_default": answer}, proofs=[proof], description={"fingerprint": "abc"})
        if slope == 2:
            shutil.copytree(base_path / "1", base_path / "2")
    return base_path


@pytest.fixture
def base_path(exported: Path, tmp_path: Path) -> Path:
    """A copy of it that the test may change."""
    return Path(shutil.copytree(exported, tmp_path / "lines"))
