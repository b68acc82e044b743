"""Weights stored as int8 with a scale a row."""

from pathlib import Path

import numpy as np
import pytest

from tfchain import NeuralSearchChain
from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.folder_contents import INT8_WEIGHTS, WEIGHTS
from tfchain.models.weights.stored_weights import dequantize, quantize_rows
from tfchain.models.weights.tensor_files import TensorFiles


def test_a_rows_largest_value_is_127_and_the_others_are_rounded() -> None:
    numbers, scales = quantize_rows(np.array([[1.27, -0.634, 0.0], [0.0, 0.0, 0.0], [-254.0, 2.9, 3.1]], "float32"))
    assert numbers.tolist() == [[127, -63, 0], [0, 0, 0], [-127, 1, 2]]
    np.testing.assert_allclose(scales, [0.01, 0, 2], rtol=1e-6)
    np.testing.assert_allclose(dequantize(numbers, scales), [[1.27, -0.63, 0], [0, 0, 0], [-254, 2, 4]], rtol=1e-6)


def test_a_model_stored_in_int8_is_a_float_model_again_and_stays_the_same_from_then_on(
    wide_model_path: Path, tmp_path: Path
) -> None:
    whole = TextEncoder.from_pretrained(wide_model_path, engine="tensorflow")
    for name, weight_type in (("whole", "float32"), ("small", "int8")):
        (tmp_path / name).mkdir()
        whole.save(tmp_path / name, weight_type=weight_type)
    assert not (tmp_path / "small" / WEIGHTS).exists()  # transformers would read it
    assert (tmp_path / "small" / INT8_WEIGHTS).stat().st_size < 0.35 * (tmp_path / "whole" / WEIGHTS).stat().st_size
    small = TextEncoder.from_pretrained(tmp_path / "small", engine="tensorflow")
    for weight, stored in zip(whole.encoder.weights, small.encoder.weights, strict=True):
        assert stored.dtype == "float32"
        values = np.asarray(weight)
        step = np.abs(values).max() / 127 if values.ndim == 2 else 0
        assert np.abs(np.asarray(stored) - values).max() <= 0.5 * step + 1e-7
    assert np.sum(whole.encode("the cat sleeps") * small.encode("the cat sleeps")) > 0.999
    (tmp_path / "again").mkdir()
    small.save(tmp_path / "again", weight_type="int8")
    first, second = TensorFiles(tmp_path / "small"), TensorFiles(tmp_path / "again")
    assert len(first) == len(list(first)) == len(TensorFiles(tmp_path / "whole"))
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-6, atol=1e-9)


@pytest.mark.usefixtures("eager")
def test_a_chain_of_stored_weights_can_be_trained_and_searched(wide_model_path: Path, tmp_path: Path) -> None:
    TextEncoder.from_pretrained(wide_model_path).save(_made(tmp_path / "small"), weight_type="int8")
    chain = NeuralSearchChain.from_pretrained(tmp_path / "small", engine="tensorflow").add(["the cat", "a dog runs"])
    before = chain.encode("the cat")
    chain.fit([("cat", "the cat"), ("dog", "a dog runs")], learning_rate=1e-3)
    assert np.abs(chain.encode("the cat") - before).max() > 1e-4
    assert len(chain.search("dog").hits) == 2


def test_other_types_and_folders_for_others_are_refused(tiny_model_path: Path, tmp_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(tiny_model_path)
    with pytest.raises(InputError, match="`weight_type` must be float32 or int8. Received: weight_type='int4'"):
        encoder.save(_made(tmp_path / "one"), weight_type="int4")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`weight_type` must be float32. Received: weight_type='int8', portable=True"):
        encoder.save(_made(tmp_path / "two"), weight_type="int8", portable=True)
    assert not any((tmp_path / "one").iterdir())


def _made(path: Path) -> Path:
    path.mkdir()
    return path
